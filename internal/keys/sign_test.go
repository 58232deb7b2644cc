package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
)

func TestSignP256SignsWhatIsVerifiedAndAlwaysTheSame(t *testing.T) {
	for range 16 { // half of all signatures have the higher S
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		public, err := ParseSPKI(spki)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := SignP256(k, []byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := SignP256(k, []byte("message"))
		if err != nil || !bytes.Equal(sig, again) {
			t.Errorf("signed again: %x, then %x: %v", sig, again, err)
		}
		if err := public.Verify(ForTest, []byte("message"), sig); err != nil {
			t.Error(err)
		}
	}
}
