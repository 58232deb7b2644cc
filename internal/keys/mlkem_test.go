package keys

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

func mlkemKey(t testing.TB) (*Public, *mlkem.DecapsulationKey768) {
	t.Helper()
	k, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	p, err := FromMLKEM(k.EncapsulationKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p, k
}

func TestWhoeverDrewACiphertextAndTheKeyComeToOneAnswer(t *testing.T) {
	p, k := mlkemKey(t)
	s, err := DrawScalar(MLKEM768, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	peer := peerOf(t, s, p)
	again, err := ParsePeer(MLKEM768, peer.Encode())
	if err != nil || !bytes.Equal(again.Encode(), peer.Encode()) || len(peer.Encode()) != peerSize(MLKEM768) {
		t.Fatalf("the peer isn't read as it was written: %v", err)
	}
	read, err := ParseScalar(MLKEM768, s.Encode())
	if err != nil || !bytes.Equal(peerOf(t, read, p).Encode(), peer.Encode()) {
		t.Fatalf("the scalar isn't read as it was written: %v", err)
	}
	z, err := k.Decapsulate(peer.Encode())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := s.Secret(p)
	if err != nil || !bytes.Equal(z, mine) {
		t.Fatalf("%x, %x, %v", z, mine, err)
	}
	a, err := AgreementAnswer(p, again, z, []byte("text"))
	if b, err2 := AgreementAnswer(p, peer, mine, []byte("text")); err != nil || err2 != nil || a != b || a == [32]byte{} {
		t.Errorf("%x, %x: %v, %v", a, b, err, err2)
	}
	// Decapsulation never fails: another key, or a changed ciphertext, gives another secret.
	q, other := mlkemKey(t)
	if z, err := other.Decapsulate(peer.Encode()); err != nil || bytes.Equal(z, mine) {
		t.Errorf("another key: %v", err)
	}
	changed := peer.Encode()
	changed[1087] ^= 1
	if z, err := k.Decapsulate(changed); err != nil || bytes.Equal(z, mine) {
		t.Errorf("another ciphertext: %v", err)
	}
	if bytes.Equal(peerOf(t, s, q).Encode(), peer.Encode()) {
		t.Error("one ciphertext is for two keys")
	}
	if c, _ := AgreementAnswer(q, again, z, []byte("text")); c == a {
		t.Error("the answer doesn't depend on the key")
	}
}

func TestACiphertextIsForAKeyOfMLKEMAlone(t *testing.T) {
	p, _ := mlkemKey(t)
	s, _ := DrawScalar(MLKEM768, rand.Reader)
	e, _ := DrawScalar(ECDHP256, rand.Reader)
	ec, _ := agreementKey(t, ECDHP256)
	if _, err := s.Peer(nil); err == nil {
		t.Error("a ciphertext is made for no key")
	}
	if _, err := s.Peer(ec); err == nil || err.Error() != "nothing can be encapsulated to a key of kind ecdh-p256" {
		t.Errorf("got %v", err)
	}
	if _, err := s.Secret(ec); err == nil {
		t.Error("a key of P-256 agrees with a ciphertext")
	}
	if _, err := e.Secret(p); err == nil {
		t.Error("a key of ML-KEM agrees with a point")
	}
	if _, err := p.ECDH(); err == nil || err.Error() != "a key of kind ml-kem-768 can't agree on a secret by ECDH" {
		t.Errorf("got %v", err)
	}
	if err := p.Verify(ForTest, nil, nil); err == nil || err.Error() != "a key of kind ml-kem-768 can't sign" {
		t.Errorf("got %v", err)
	}
	for _, n := range []int{0, 32, 1087, 1089} {
		if _, err := ParsePeer(MLKEM768, make([]byte, n)); err == nil || !strings.Contains(err.Error(), "one for ml-kem-768 has 1088") {
			t.Errorf("a ciphertext of %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := ParseScalar(MLKEM768, make([]byte, n)); err == nil {
			t.Errorf("a scalar of %d bytes is taken", n)
		}
	}
}

func TestAnMLKEMKeyIsAdmittedInOneEncoding(t *testing.T) {
	p, _ := mlkemKey(t)
	// RFC 9935: the object identifier 2.16.840.1.101.3.4.4.2, and no parameters.
	if got := hex.EncodeToString(p.SPKI()[:22]); got != "308204b2300b0609608648016503040402038204a100" {
		t.Errorf("its DER begins with %s", got)
	}
	raw := bytes.Clone(p.Raw())
	// In the domain of the transform a constant is itself, twice: x ↦ 1 is (1, 0, 1, 0, …).
	ones := make([]byte, 1152)
	for i := 0; i < len(ones); i += 3 {
		ones[i] = 1
	}
	above := bytes.Clone(raw)
	above[0], above[1] = 0x01, above[1]&0xf0|0x0d // 3329
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"cut":                {raw[:1183], "has 1183 bytes, a key of ml-kem-768 has 1184"},
		"longer":             {append(bytes.Clone(raw), 0), "has 1185 bytes"},
		"a number that is q": {above, "not below 3329"},
		"a t of zeros":       {append(make([]byte, 1152), raw[1152:]...), "anyone can open what is encapsulated to it"},
		"a t of 1":           {append(ones, raw[1152:]...), "anyone can open what is encapsulated to it"},
	} {
		if _, err := FromMLKEM(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ParseSPKI(append(bytes.Clone(mlkemSPKI), c.raw...)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// s = 0, and e the noise that every key has: then t is e, and covers nothing.
func TestAKeyThatHasNoSecretIsRefused(t *testing.T) {
	p, _ := mlkemKey(t)
	raw := append([]byte(nil), p.Raw()...)
	noise := make([]byte, 768)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		var f [mlkemN]uint32
		for j := range f {
			f[j] = (uint32(noise[256*i+j]%5) + mlkemQ - 2) % mlkemQ
		}
		toNTT(&f)
		for j := 0; j < mlkemN; j += 2 {
			b := raw[384*i+j/2*3:]
			b[0], b[1], b[2] = byte(f[j]), byte(f[j]>>8)|byte(f[j+1]<<4), byte(f[j+1]>>4)
		}
	}
	if _, err := mlkem.NewEncapsulationKey768(raw); err != nil {
		t.Fatalf("FIPS 203's own check refuses it already: %v", err)
	}
	if _, err := FromMLKEM(raw); err == nil || !strings.Contains(err.Error(), "anyone can open what is encapsulated to it") {
		t.Errorf("it is admitted: %v", err)
	}
}

// toNTT is FIPS 203's algorithm 9.
func toNTT(f *[mlkemN]uint32) {
	k := 1
	for length := 128; length >= 2; length /= 2 {
		for start := 0; start < mlkemN; start += 2 * length {
			zeta := power17(k)
			k++
			for j := start; j < start+length; j++ {
				t := zeta * f[j+length] % mlkemQ
				f[j+length] = (f[j] + mlkemQ - t) % mlkemQ
				f[j] = (f[j] + t) % mlkemQ
			}
		}
	}
}
