package tpm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
)

// seven is a fleet's attestations, and a function that verifies their signatures
// and does nothing else.
func seven(t testing.TB) (cases []at.Case, signatures func()) {
	type signed struct {
		key         *ecdsa.PublicKey
		digest, sig []byte
	}
	var list []signed
	for range 7 {
		d := tpmtest.New(t)
		c := d.Attested(at.P256(t).Public(), tpmtest.KeyAttrs)
		cases = append(cases, c)
		h := sha256.Sum256(c.Input.Evidence.Part(tpm.PartAttest))
		sig, err := d.AK.Sign(nil, h[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, signed{d.AK.Public().(*ecdsa.PublicKey), h[:], sig})
		for _, link := range [][2]*at.Cert{{d.Cert, d.Mid}, {d.Mid, d.Root}} {
			h := sha256.Sum256(link[0].RawTBSCertificate)
			list = append(list, signed{link[1].PublicKey.(*ecdsa.PublicKey), h[:], link[0].Signature})
		}
	}
	return cases, func() {
		for _, s := range list {
			if !ecdsa.VerifyASN1(s.key, s.digest, s.sig) {
				t.Fatal("a signature doesn't verify")
			}
		}
	}
}

func judgeAll(t testing.TB, cases []at.Case) {
	for _, c := range cases {
		claims, err := attest.Check(tpm.Verifier{}, c.Input)
		if err != nil || len(attest.Judge(claims, c.Demand)) > 0 {
			t.Fatalf("%+v %v", claims, err)
		}
	}
}

func BenchmarkSevenHSMs(b *testing.B) {
	cases, signatures := seven(b)
	b.Run("signatures", func(b *testing.B) {
		for b.Loop() {
			signatures()
		}
	})
	b.Run("attestations", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			judgeAll(b, cases)
		}
	})
}
