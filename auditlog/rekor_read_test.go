package auditlog

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

func TestLeavesOfRekorAreToldFromOthers(t *testing.T) {
	bothVersions(t, func(t *testing.T, w *rekorWorld) {
		leaf := w.entry.Body
		r := ReadRekorLeaf(w.log.Version, leaf, w.submitters)
		if r == nil || r.Submitter != w.submitters[1] || r.Digest != RekorDigest(w.log.Version, rekorBundle) || !r.Of(rekorBundle) {
			t.Fatalf("%+v", r)
		}
		if r.Of(append(bytes.Clone(rekorBundle), ' ')) {
			t.Error("it is every bundle's")
		}
		if ReadRekorLeaf(w.log.Version, leaf, w.submitters[:1]) != nil || ReadRekorLeaf(w.log.Version, leaf, nil) != nil {
			t.Error("another's leaf is ours")
		}
		// Whatever byte is changed, it is another's, or not the bundle's.
		ours := 0
		for i := range leaf {
			bad := bytes.Clone(leaf)
			bad[i] ^= 1
			if r := ReadRekorLeaf(w.log.Version, bad, w.submitters); r != nil {
				if ours++; r.Of(rekorBundle) {
					t.Fatalf("with byte %d changed it is still the bundle's", i)
				}
			}
		}
		t.Logf("%d leaves with a byte changed, %d of them with our key, none the bundle's", len(leaf), ours)
		// One of the other version is ours, and no bundle's.
		other := 3 - w.log.Version
		if r := ReadRekorLeaf(other, leaf, w.submitters); r == nil || r.Signature != nil || r.Of(rekorBundle) {
			t.Errorf("read as version %d: %+v", other, r)
		}
	})
}

// A stolen key may sign whatever Rekor takes.
func TestOurKeyIsFoundInEveryKindOfEntry(t *testing.T) {
	us := testrekor.Submitter("us")
	pinned := []*keys.Public{publicOf(t, us)}
	spki := pinned[0].SPKI()
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, us.Public(), us)
	if err != nil {
		t.Fatal(err)
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: strangersCert(t)}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	b64 := base64.StdEncoding.EncodeToString
	for name, spec := range map[string]string{
		"hashedrekord":         fmt.Sprintf(`{"signature":{"content":"MEUCIQ==","publicKey":{"content":"%s"}}}`, b64(block)),
		"intoto":               fmt.Sprintf(`{"content":{"envelope":{"signatures":[{"publicKey":"%s"}]}}}`, b64(block)),
		"a certificate":        fmt.Sprintf(`{"publicKey":{"content":"%s"}}`, b64(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))),
		"a chain":              fmt.Sprintf(`{"publicKey":{"content":"%s"}}`, b64(chain)),
		"v2, DER":              fmt.Sprintf(`{"hashedRekordV002":{"signature":{"verifier":{"publicKey":{"rawBytes":"%s"}}}}}`, b64(spki)),
		"v2, certificate":      fmt.Sprintf(`{"x":{"verifier":{"x509Certificate":{"rawBytes":"%s"}}}}`, b64(cert)),
		"PEM as it is":         `{"key":` + string(mustJSON(string(block))) + `}`,
		"twice base64":         fmt.Sprintf(`{"key":["a",{"b":"%s"}]}`, b64([]byte(b64(spki)))),
		"two signatures, dsse": fmt.Sprintf(`{"payloadHash":{"value":"00"},"signatures":[{"verifier":"AA=="},{"verifier":"%s"}]}`, b64(block)),
	} {
		for _, version := range []int{RekorV1, RekorV2} {
			r := ReadRekorLeaf(version, fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"x\u0007","spec":%s}`, spec), pinned)
			if r == nil || r.Signature != nil || r.Of(rekorBundle) || r.Kind != "x  0.0.1" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	for _, leaf := range []string{"", "{", "null", "[]", `{"kind":1}`, `{"spec":""}`, `{"spec":"-----BEGIN X-----\n-----END X-----\n"}`, `{"spec":"` + b64(strangersCert(t)) + `"}`, `{"spec":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`} {
		if r := ReadRekorLeaf(RekorV1, []byte(leaf), pinned); r != nil {
			t.Errorf("%.40s: %+v", leaf, r)
		}
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func strangersCert(t *testing.T) []byte {
	t.Helper()
	k := testrekor.Submitter("stranger")
	c := &x509.Certificate{SerialNumber: big.NewInt(2)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzRekorLeaf: what is anybody's is read, and only the very leaf of a bundle
// is the bundle's.
func FuzzRekorLeaf(f *testing.F) {
	pinned := []*keys.Public{publicOf(f, testrekor.Submitter("us"))}
	for _, version := range []int{RekorV1, RekorV2} {
		f.Add(version, []byte(newRekorWorld(f, version).entry.Body))
	}
	for _, p := range readPublicEntries(f) {
		f.Add(RekorV1, p.Body)
	}
	f.Fuzz(func(t *testing.T, version int, leaf []byte) {
		r := ReadRekorLeaf(version, leaf, pinned)
		if r == nil || !r.Of(rekorBundle) {
			return
		}
		want, err := RekorBody(version, NewRekorEnvelope(rekorBundle, r.Signature), pinned[0])
		if err != nil || !bytes.Equal(want, leaf) {
			t.Fatalf("%q is taken for the bundle's entry %q", leaf, want)
		}
	})
}
