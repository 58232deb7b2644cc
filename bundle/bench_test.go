package bundle

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// benchWorld is 5 HSMs with one role, one third party, a P-256 countersigner.
func benchWorld() (*Bundle, *Trust) {
	w := newWorld()
	one := w.statements[:1]
	w.trust.Needed, w.trust.ThirdParties = 1, w.trust.ThirdParties[:1]
	return must(Assemble(w.set.Raw(), one, []Countersignature{countersigned(keys.P256, "operator", FormBound, w.set, one...)}, aRecord)), w.trust
}

func BenchmarkBundleVerify(b *testing.B) {
	bundle, trust := benchWorld()
	b.Run("ParseAndVerify", func(b *testing.B) {
		b.SetBytes(int64(len(bundle.Raw())))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := must(ParseBundle("b", bundle.Raw())).Verify(trust, now, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(ParseBundle("b", bundle.Raw()))
		}
	})
	b.Run("Verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bundle.Verify(trust, now, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	// The floor: the two signatures, and the keys that must be admitted.
	b.Run("FloorSignatures", func(b *testing.B) {
		s, c := bundle.Statements[0], bundle.Countersignatures[0]
		msg, text := s.Statement.Message(), keys.Digest(keys.P256, CountersignText(bundle.KeySet, bundle.Statements))
		pub := signer(keys.P256, "operator").Public().(*ecdsa.PublicKey)
		b.ReportAllocs()
		for b.Loop() {
			if !ed25519.Verify(s.Key[:], msg, s.Statement.Signature[:]) || !ecdsa.VerifyASN1(pub, text, c.Signature) {
				b.Fatal("does not verify")
			}
		}
	})
	b.Run("FloorAdmission", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, k := range bundle.KeySet.Keys {
				must(keys.ParseSPKI(k.SPKI))
			}
			if err := keys.AdmitEd25519(bundle.Statements[0].Key[:]); err != nil {
				b.Fatal(err)
			}
			must(keys.ParseSPKI(bundle.Countersignatures[0].Key.SPKI()))
		}
	})
}
