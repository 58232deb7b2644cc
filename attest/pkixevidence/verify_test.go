package pkixevidence

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func evidence(parts ...attest.Part) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: parts}
}

// workingGroup pins the root of the working group's samples.
func workingGroup(t testing.TB) *attest.Anchors {
	t.Helper()
	certs, err := attest.ParseCertificates(file(t, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	return attesttest.Pin(t, Format, certs...)
}

func der(t testing.TB, name string) []byte {
	t.Helper()
	block, _ := pem.Decode(file(t, name))
	return block.Bytes
}

// keysOf gives the keys that a sample reports.
func keysOf(t testing.TB, name string) (list [][]byte) {
	t.Helper()
	s, err := parseStatement(der(t, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Elements {
		var c attest.Claims
		if e.Type.String() == "1.3.6.1.5.5.999.0.2" {
			if _, err := (Verifier{}).read(e, key, &c); err != nil {
				t.Fatal(err)
			}
			list = append(list, c.Key.SPKI)
		}
	}
	return list
}

func TestTheWorkingGroupsSampleOfTwoKeysVerifies(t *testing.T) {
	keys := keysOf(t, "evidence2.pem")
	in := attest.Input{Anchors: workingGroup(t), At: attesttest.At, Evidence: evidence(attest.Part{Name: PartEvidence, Data: file(t, "evidence2.pem")})}
	if _, err := attest.Check(Verifier{}, in); err == nil || !strings.Contains(err.Error(), "it reports 2 keys: say in the part") {
		t.Errorf("which of the two keys is meant is not asked: %v", err)
	}
	in.Evidence.Parts = append(in.Evidence.Parts, attest.Part{Name: PartKey, Data: keys[0]})
	c, err := attest.Check(Verifier{}, in)
	if err != nil {
		t.Fatal(err)
	}
	nonce, _ := hex.DecodeString("beefcafebabedead")
	if c.Level != attest.Anchored || !bytes.Equal(c.Nonce, nonce) || c.Platform.Model != "HSM-9000" || c.Platform.Identity != "" || len(c.Unknown) != 0 ||
		!c.Made.Equal(time.Date(2026, 7, 21, 11, 13, 38, 0, time.UTC)) || c.Key.Purpose != (attest.Purpose{Sign: attest.True, Decrypt: attest.False, Wrap: attest.False, Unwrap: attest.False, Derive: attest.False}) {
		t.Errorf("got %+v", c)
	}
	if list := attest.Judge(c, attesttest.Kept(attest.Anchored, keys[0], "")); len(list) != 0 {
		t.Errorf("the first key is not shown to be kept: %v", list)
	}
	in.Nonce = nonce
	if c, err := attest.Check(Verifier{}, in); err != nil || c.Level != attest.Fresh {
		t.Errorf("with its nonce: %+v, %v", c, err)
	}
	in.Nonce = []byte("another")
	if _, err := attest.Check(Verifier{}, in); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Errorf("with another nonce: %v", err)
	}
	// The second key is exportable and says nothing of its origin.
	in.Nonce = nil
	in.Evidence.Parts[1].Data = keys[1]
	c, err = attest.Check(Verifier{}, in)
	if err != nil || c.Key.Extractable != attest.True || c.Key.Local != attest.NotShown || len(attest.Judge(c, attesttest.Kept(attest.Anchored, keys[1], ""))) != 4 {
		t.Errorf("the second key: %+v, %v", c, err)
	}
}

func TestTheWorkingGroupsSampleOfAPlatformVerifiesAndShowsNoKey(t *testing.T) {
	s, err := parseStatement(der(t, "evidence1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := attest.ParseCertificates(append(file(t, "ak.crt"), file(t, "int.crt")...))
	if err != nil {
		t.Fatal(err)
	}
	c := &attest.Claims{}
	signers, err := (Verifier{}).signatures(s, certs, attest.Input{Anchors: workingGroup(t), At: attesttest.At}, c)
	if err != nil || c.Level != attest.Anchored {
		t.Fatalf("level %v: %v", c.Level, err)
	}
	if err := (Verifier{}).elements(s, nil, signers, c); err == nil || !strings.Contains(err.Error(), "reports no key") {
		t.Errorf("got %v", err)
	}
	if p := c.Platform; p.Vendor != "Acme Corp" || p.FIPSBoot != attest.True || p.FIPSLevel != 3 {
		t.Errorf("got %+v", p)
	}
	// Its attestation key's certificate is not in it.
	in := attest.Input{Evidence: evidence(attest.Part{Name: PartEvidence, Data: der(t, "evidence1.pem")}), Anchors: workingGroup(t), At: attesttest.At}
	if _, err := attest.Check(Verifier{}, in); err == nil || !strings.Contains(err.Error(), "no certificate has the key that it names") {
		t.Errorf("got %v", err)
	}
}

func TestTheWorkingGroupsSampleThatBreaksTheRulesIsRefused(t *testing.T) {
	in := attest.Input{Evidence: evidence(attest.Part{Name: PartEvidence, Data: file(t, "evidence3.pem")}), Anchors: workingGroup(t), At: attesttest.At}
	_, err := attest.Check(Verifier{}, in)
	if err == nil || !strings.Contains(err.Error(), "two elements of the kind") {
		t.Errorf("got %v", err)
	}
}

func TestUnderAnotherArcNothingIsKnownAndNothingPasses(t *testing.T) {
	v := Verifier{Arc: asn1.ObjectIdentifier{1, 2, 3, 999}}
	in := attest.Input{Evidence: evidence(attest.Part{Name: PartEvidence, Data: file(t, "evidence2.pem")}), Anchors: workingGroup(t), At: attesttest.At}
	if _, err := attest.Check(v, in); err == nil || !strings.Contains(err.Error(), "it reports no key") {
		t.Errorf("got %v", err)
	}
	v = Verifier{AttestationKey: asn1.ObjectIdentifier{1, 2, 3}}
	if _, err := attest.Check(v, in); err == nil || !strings.Contains(err.Error(), "its key is no attestation key") {
		t.Errorf("got %v", err)
	}
}

func TestEveryByteOfTheSignedSampleCounts(t *testing.T) {
	good := der(t, "evidence2.pem")
	anchors, key := workingGroup(t), attest.Part{Name: PartKey, Data: keysOf(t, "evidence2.pem")[0]}
	s, err := parseStatement(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(attest.Part{Name: PartEvidence, Data: bad}, key), Anchors: anchors, At: attesttest.At})
		if err == nil && (i < 4+len(s.signed) || c.Level >= attest.Anchored) {
			t.Errorf("byte %d changed, and it still verifies", i)
		}
	}
}

func FuzzStatement(f *testing.F) {
	for _, name := range []string{"evidence1.pem", "evidence2.pem", "evidence3.pem"} {
		f.Add(der(f, name), file(f, "ak.crt"))
	}
	anchors := workingGroup(f)
	f.Fuzz(func(t *testing.T, b, chain []byte) {
		s, err := parseStatement(b)
		if (s == nil) == (err == nil) {
			t.Errorf("a statement and an error, or neither: %v, %v", s, err)
		}
		parts := []attest.Part{{Name: PartEvidence, Data: b}}
		if len(chain) > 0 {
			parts = append(parts, attest.Part{Name: PartChain, Data: chain})
		}
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(parts...), Anchors: anchors, At: attesttest.At})
		if err == nil && c.Level >= attest.Anchored && !bytes.HasPrefix(b, der(t, "evidence2.pem")[:711]) {
			t.Errorf("another statement stands under the samples' root")
		}
	})
}
