package viewer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

type signedCase struct {
	Algorithm keys.Algorithm `json:"algorithm"`
	Key       []byte         `json:"key"`
	Message   []byte         `json:"message"`
	Signature []byte         `json:"signature"`
	Context   string         `json:"context,omitempty"`
}

// spelt are spellings of an ECDSA signature, the right one first, and other numbers.
func spelt(r, s, n *big.Int) (list [][]byte) {
	type numbers struct{ R, S *big.Int }
	der := func(r, s *big.Int) []byte { return must(asn1.Marshal(numbers{r, s})) }
	good := der(r, s)
	list = append(list, good, der(r, new(big.Int).Sub(n, s)), der(new(big.Int).Add(r, n), s), der(r, new(big.Int).Add(s, n)), der(big.NewInt(0), s), der(r, big.NewInt(0)), der(s, r),
		append(bytes.Clone(good), 0), good[:len(good)-1], new(big.Int).Or(new(big.Int).Lsh(r, 256), s).Bytes(), der(new(big.Int).Neg(r), s))
	long := bytes.Clone(good) // the length in two bytes
	list = append(list, append([]byte{0x30, 0x81}, long[1:]...))
	padded := append([]byte{0x30, good[1] + 1, 2, good[3] + 1, 0}, good[4:]...)
	return append(list, padded, nil)
}

// ECDSA by its one encoding and low S, RSA-PSS by its one salt, no key in another's
// form: what JavaScript takes is what Go takes.
func TestJavaScriptTakesTheECDSAAndRSASignaturesThatGoTakes(t *testing.T) {
	message := []byte("an artifact")
	var list []signedCase
	add := func(alg keys.Algorithm, spki []byte, sigs ...[]byte) {
		for _, s := range sigs {
			list = append(list, signedCase{Algorithm: alg, Key: spki, Message: message, Signature: s}, signedCase{Algorithm: alg, Key: spki, Message: message[1:], Signature: s})
		}
		for _, other := range []keys.Algorithm{keys.Ed25519, keys.P256, keys.P384, keys.RSA3072, keys.ECDHP256, keys.X25519} {
			list = append(list, signedCase{Algorithm: other, Key: spki, Message: message, Signature: sigs[0]})
		}
		for _, at := range []int{0, 3, 5, 12, 22, len(spki) - 1, len(spki) - 20, len(spki) / 2} {
			list = append(list, signedCase{Algorithm: alg, Key: flipped(spki, at), Message: message, Signature: sigs[0]})
		}
		list = append(list, signedCase{Algorithm: alg, Key: spki[:len(spki)-1], Message: message, Signature: sigs[0]}, signedCase{Algorithm: alg, Key: append(bytes.Clone(spki), 0), Message: message, Signature: sigs[0]})
	}
	for alg, curve := range map[keys.Algorithm]elliptic.Curve{keys.P256: elliptic.P256(), keys.P384: elliptic.P384()} {
		for range 4 {
			k := must(ecdsa.GenerateKey(curve, rand.Reader))
			r, s, err := ecdsa.Sign(rand.Reader, k, keys.Digest(alg, message))
			if err != nil {
				t.Fatal(err)
			}
			if half := new(big.Int).Rsh(curve.Params().N, 1); s.Cmp(half) > 0 {
				s.Sub(curve.Params().N, s)
			}
			add(alg, must(x509.MarshalPKIXPublicKey(&k.PublicKey)), spelt(r, s, curve.Params().N)...)
		}
	}
	k, sum := must(rsa.GenerateKey(rand.Reader, 3072)), sha256.Sum256(message)
	pss := func(salt int) []byte {
		return must(rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt}))
	}
	good := pss(32)
	add(keys.RSA3072, must(x509.MarshalPKIXPublicKey(&k.PublicKey)), good, pss(20), pss(0), pss(64), must(rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])), good[1:], append([]byte{0}, good...))
	short := must(rsa.GenerateKey(rand.Reader, 2048))
	add(keys.RSA3072, must(x509.MarshalPKIXPublicKey(&short.PublicKey)), must(rsa.SignPSS(rand.Reader, short, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})))

	var got []bool
	node(t, "signed", list, &got)
	taken := 0
	for i, c := range list {
		p, err := keys.ParseAs(c.Algorithm, c.Key)
		want := err == nil && p.Verify(keys.ForTest, c.Message, c.Signature) == nil
		if got[i] != want {
			t.Errorf("%s, key %x, signature %x: JavaScript says %t, Go %t (%v)", c.Algorithm, c.Key, c.Signature, got[i], want, err)
		}
		if want {
			taken++
		}
	}
	t.Logf("%d cases, %d verify", len(list), taken)
	if taken < 9 {
		t.Errorf("only %d verify", taken)
	}
}
