package marvell

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func evidence(blob, certs []byte) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: []attest.Part{{Name: PartAttestation, Data: blob}, {Name: PartCertificates, Data: certs}}}
}

// shipped is the list that comes with fleetctl. The manufacturer's old root had
// ended when the samples are judged here, and counts as a key all the same.
func shipped(t testing.TB) *attest.Anchors {
	t.Helper()
	a, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func unpacked(t testing.TB, name string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sampleKey is the key that the sample attests.
func sampleKey(t testing.TB) []byte {
	t.Helper()
	b, err := parseBlob(file(t, "ec.dat"))
	if err != nil {
		t.Fatal(err)
	}
	_, spki, err := b.keyPair()
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

func samples(t *testing.T) (list []at.Sample) {
	spki := sampleKey(t)
	d := at.Kept(attest.Anchored, spki, "093e8347f6fe14ac922e550c6b75ccea67d3bf15e63b5bab6c7be0cd73d59abc")
	d.Sign, d.Vendors = true, []string{vendor}
	for name, blob := range map[string][]byte{"packed": file(t, "ec.dat"), "unpacked": unpacked(t, "ec.dat")} {
		list = append(list, at.Sample{
			Name: "Google Cloud HSM, a P-256 key, " + name, Level: attest.Anchored,
			Case: at.Case{Input: attest.Input{Evidence: evidence(blob, file(t, "ec.certs")), Anchors: shipped(t), At: at.At}, Demand: d},
			Claims: func(t *testing.T, c *attest.Claims) {
				if c.Platform.Serial != "5.2G1804-ICM000678" || c.Anchor.Vendor != vendor {
					t.Errorf("%+v", c)
				}
				if !slices.Contains(c.Details, attest.Detail{Name: "owner", Value: "Hawksbill Root v1 prod"}) {
					t.Errorf("%v", c.Details)
				}
				b, err := parseBlob(blob)
				if err != nil {
					t.Fatal(err)
				}
				if sum := sha256.Sum256(spki); !bytes.Equal(b.Objects[0].Attrs[attrDigest], sum[:]) || !bytes.Equal(b.Objects[1].Attrs[attrDigest], sum[:]) {
					t.Error("the digest attested isn't that of the key")
				}
				// One attribute isn't explained anywhere; both halves have it.
				if len(c.Unknown) != 2 || c.Unknown[0].What != "attribute 0x1000" || c.Unknown[1].What != "attribute 0x1000" {
					t.Errorf("%v", c.Unknown)
				}
				if !slices.Equal(c.Quirks, []string{attest.QuirkNoBasicConstraints}) {
					t.Errorf("%v", c.Quirks)
				}
			},
		})
	}
	slices.SortFunc(list, func(a, b at.Sample) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// otherKey is the sample and the public key that came with it: it isn't the one
// that is attested.
func otherKey(t *testing.T) at.Hostile {
	block, _ := pem.Decode(file(t, "pub.pem"))
	in := attest.Input{Evidence: evidence(file(t, "ec.dat"), file(t, "ec.certs")), Anchors: shipped(t), At: at.At}
	return at.Hostile{Kind: at.SubstitutedKey, Name: "the public key that the sample came with", Want: "spki: the evidence is of another key",
		Case: at.Case{Input: in, Demand: at.Kept(attest.Anchored, block.Bytes, "")}, Twin: at.Case{Input: in, Demand: at.Kept(attest.Anchored, sampleKey(t), "")}}
}

func TestARealSecretKeyIsSignedAndIsNoKeyPair(t *testing.T) {
	in := attest.Input{Evidence: evidence(file(t, "aes.dat"), file(t, "aes.certs")), Anchors: shipped(t), At: at.At}
	s, err := verifySigned(in)
	if err != nil || s.claims.Level != attest.Anchored {
		t.Fatalf("%v, %v", s, err)
	}
	if _, err := attest.Check(Verifier{}, in); err == nil || !strings.Contains(err.Error(), "it attests a secret key") {
		t.Error(err)
	}
}

func TestEveryByteOfARealAttestationIsSigned(t *testing.T) {
	b := unpacked(t, "ec.dat")
	for i := range len(b) - sigLen {
		edited := slices.Clone(b)
		edited[i] ^= 1
		s, err := parseBlob(edited)
		if err != nil {
			continue // its form is broken
		}
		if _, err := s.verify(certificate(t, "ec.certs", 2)); err == nil {
			t.Fatalf("byte %d isn't signed", i)
		}
	}
}

func certificate(t testing.TB, bundle string, i int) *x509.Certificate {
	certs, err := attest.ParseCertificates(file(t, bundle))
	if err != nil {
		t.Fatal(err)
	}
	return certs[i]
}
