package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

// agreementKey is a key that agrees, and its private half.
func agreementKey(t testing.TB, alg Algorithm) (*Public, *ecdh.PrivateKey) {
	t.Helper()
	c, err := curveOf(alg)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := FromPoint(alg, k.PublicKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p, k
}

func peerOf(t testing.TB, s *Scalar, p *Public) *Peer {
	t.Helper()
	peer, err := s.Peer(p)
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

func TestAKeyDoesOnlyWhatItsKindIsFor(t *testing.T) {
	all := oneOfEach(t)
	priv, pub := ecdsaKey(t, P256)
	all[P256] = pub.SPKI()
	sign, err := ParseAs(P256, all[P256])
	if err != nil {
		t.Fatal(err)
	}
	agree, err := ParseAs(ECDHP256, all[P256])
	if err != nil {
		t.Fatal(err)
	}
	if sign.Algorithm().Use() != Sign || agree.Algorithm().Use() != Agree || sign.Point() != agree.Point() || !bytes.Equal(sign.SPKI(), agree.SPKI()) {
		t.Error("the two kinds of P-256 key are not one key of two uses")
	}
	sig, err := SignP256(priv, []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	if err := sign.Verify(ForTest, []byte("m"), sig); err != nil {
		t.Fatal(err)
	}
	if err := agree.Verify(ForTest, []byte("m"), sig); err == nil || err.Error() != "a key of kind ecdh-p256 can't sign" {
		t.Errorf("a signature under a key that agrees: %v", err)
	}
	if _, err := agree.ECDH(); err != nil {
		t.Error(err)
	}
	for alg, spki := range all {
		if p, err := ParseSPKI(spki); err != nil || alg.CanSign() {
			if _, err := p.ECDH(); err == nil {
				t.Errorf("a %s key agrees", alg)
			}
		}
		for _, other := range Algorithms {
			_, err := ParseAs(other, spki)
			if ok := other == alg || alg == P256 && other == ECDHP256; ok != (err == nil) {
				t.Errorf("a %s key as %s: %v", alg, other, err)
			}
		}
	}
	if a := Algorithm("ecdh-p384"); a.Use() != "" {
		t.Error("an unknown algorithm has a use")
	}
}

func TestBothSidesComeToOneAnswer(t *testing.T) {
	for _, alg := range []Algorithm{ECDHP256, X25519} {
		p, k := agreementKey(t, alg)
		s, err := DrawScalar(alg, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePeer(alg, peerOf(t, s, nil).Encode())
		if err != nil || !bytes.Equal(again.Point(), peerOf(t, s, nil).Point()) || len(again.Encode()) != peerSize(alg) {
			t.Fatalf("%s: the peer isn't read as it was written: %v", alg, err)
		}
		z, err := k.ECDH(again.key)
		if err != nil {
			t.Fatal(err)
		}
		mine, err := s.Secret(p)
		if err != nil || !bytes.Equal(z, mine) {
			t.Fatalf("%s: %x, %x, %v", alg, z, mine, err)
		}
		a, err1 := AgreementAnswer(p, again, z, []byte("text"))
		b, err2 := AgreementAnswer(p, peerOf(t, s, nil), mine, []byte("text"))
		if err1 != nil || err2 != nil || a != b || a == [32]byte{} {
			t.Errorf("%s: %x, %x: %v, %v", alg, a, b, err1, err2)
		}
		if c, _ := AgreementAnswer(p, again, z, []byte("texts")); c == a {
			t.Error("the answer doesn't depend on the text")
		}
		other, _ := DrawScalar(alg, rand.Reader)
		if c, _ := AgreementAnswer(p, peerOf(t, other, nil), z, []byte("text")); c == a {
			t.Error("the answer doesn't depend on the peer")
		}
		q, _ := agreementKey(t, alg)
		if c, _ := AgreementAnswer(q, again, z, []byte("text")); c == a {
			t.Error("the answer doesn't depend on the key")
		}
	}
}

// The vectors were made by openssl alone: pkeyutl -derive, kdf HKDF, mac HMAC.
var agreementVectors = map[Algorithm]struct{ spki, peer, secret, answer string }{
	ECDHP256: {
		"3059301306072a8648ce3d020106082a8648ce3d03010703420004515c3d6eb9e396b904d3feca7f54fdcd0cc1e997bf375dca515ad0a6c3b4035f4536be3a50f318fbf9a5475902a221502bef0d57e08c53b2cc0a56f17d9f9354",
		"031f140146bfb1b251f84f4ddbe0d4cdcfd77afd984a9520e35794021f8312bb9e",
		"4fe243908f378aa1c2a69538822e6ed908c3225d8692575507c649901245150a",
		"145d77a4ed7aca98c1d06b6dc208fe22eacf2c29d3c5efe94a94e09ac275b077",
	},
	X25519: {
		"302a300506032b656e03210007a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c",
		"5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67b",
		"a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77",
		"6712a62fe0e899b52188be2cca2f5770b863f51ef4bd40630f765e273ff4eb25",
	},
}

func TestAnotherProgramComesToTheSameAnswer(t *testing.T) {
	scalar := unhex(t, "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40")
	for alg, v := range agreementVectors {
		p, err := ParseAs(alg, unhex(t, v.spki))
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseScalar(alg, scalar)
		if err != nil {
			t.Fatal(err)
		}
		if got := peerOf(t, s, nil).Encode(); hex.EncodeToString(got) != v.peer {
			t.Errorf("%s: peer %x", alg, got)
		}
		z, err := s.Secret(p)
		if err != nil || hex.EncodeToString(z) != v.secret {
			t.Errorf("%s: secret %x, %v", alg, z, err)
		}
		a, err := AgreementAnswer(p, peerOf(t, s, nil), z, []byte("text"))
		if err != nil || hex.EncodeToString(a[:]) != v.answer {
			t.Errorf("%s: answer %x, %v", alg, a, err)
		}
	}
}

func TestWhatIsNoPeerIsRefused(t *testing.T) {
	good := unhex(t, agreementVectors[ECDHP256].peer)
	changed := func(i int, b byte) []byte {
		c := bytes.Clone(good)
		c[i] = b
		return c
	}
	ff := bytes.Repeat([]byte{0xff}, 32)
	for name, c := range map[string]struct {
		alg  Algorithm
		data []byte
		want string
	}{
		"nothing":             {ECDHP256, nil, "has 0 bytes"},
		"uncompressed":        {ECDHP256, append([]byte{4}, make([]byte, 64)...), "has 65 bytes"},
		"the identity":        {ECDHP256, []byte{0}, "has 1 bytes"},
		"an identity, padded": {ECDHP256, make([]byte, 33), "no compressed point"},
		"no parity":           {ECDHP256, changed(0, 4), "no compressed point"},
		"off the curve":       {ECDHP256, append([]byte{2}, append(make([]byte, 31), 4)...), "no compressed point"},
		"above p":             {ECDHP256, append([]byte{2}, ff...), "no compressed point"},
		"of another curve":    {X25519, good, "has 33 bytes"},
		"low order, 0":        {X25519, make([]byte, 32), "low order"},
		"low order, 1":        {X25519, append([]byte{1}, make([]byte, 31)...), "low order"},
		"low order, of 8":     {X25519, unhex(t, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "low order"},
		"above p, x25519":     {X25519, ff, "canonical"},
		"p itself":            {X25519, unhex(t, "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), "canonical"},
		"of a key that signs": {P256, good, "one for ecdsa-p256 has 0"},
		"no algorithm":        {"", nil, "has 0 bytes"},
	} {
		if p, err := ParsePeer(c.alg, c.data); err == nil || p != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	n := group256.bytes
	for name, data := range map[string][]byte{"0": make([]byte, 32), "n": n, "short": n[:31], "nothing": nil} {
		if _, err := ParseScalar(ECDHP256, data); err == nil {
			t.Errorf("the scalar %s is taken", name)
		}
	}
	if _, err := ParseScalar(P256, make([]byte, 32)); err == nil {
		t.Error("a key that signs has a scalar")
	}
	if _, err := DrawScalar(ECDHP256, bytes.NewReader(append(make([]byte, 32), n...))); err == nil {
		t.Error("a scalar is drawn from what gives none")
	}
	s, err := DrawScalar(ECDHP256, bytes.NewReader(append(make([]byte, 32), bytes.Repeat([]byte{7}, 32)...)))
	if err != nil || s.Encode()[0] != 7 {
		t.Errorf("a number out of range is not drawn again: %v", err)
	}
}

func TestASecretOfNobodyGivesNoAnswer(t *testing.T) {
	p, _ := agreementKey(t, X25519)
	s, _ := DrawScalar(X25519, rand.Reader)
	z, _ := s.Secret(p)
	e, _ := DrawScalar(ECDHP256, rand.Reader)
	sign, _ := ParseSPKI(oneOfEach(t)[Ed25519])
	for name, c := range map[string]struct {
		p      *Public
		peer   *Peer
		secret []byte
		want   string
	}{
		"all zero":            {p, peerOf(t, s, nil), make([]byte, 32), "all zero"},
		"short":               {p, peerOf(t, s, nil), z[:31], "has 31 bytes"},
		"none":                {p, peerOf(t, s, nil), nil, "has 0 bytes"},
		"another curve":       {p, peerOf(t, e, nil), z, "agree on nothing"},
		"of a key that signs": {sign, peerOf(t, s, nil), z, "agree on nothing"},
	} {
		if _, err := AgreementAnswer(c.p, c.peer, c.secret, []byte("text")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.Secret(p); err == nil {
		t.Error("two curves agree")
	}
	if _, err := e.Secret(sign); err == nil {
		t.Error("a key that signs agrees")
	}
}

// FuzzAgreement: what is read as a peer or a scalar is written as it was read, and
// both sides agree with every one that is taken.
func FuzzAgreement(f *testing.F) {
	for alg, v := range agreementVectors {
		f.Add(string(alg), unhex(f, v.peer))
		f.Add(string(alg), bytes.Repeat([]byte{9}, 32))
	}
	f.Add(string(MLKEM768), make([]byte, 1088))
	f.Add(string(MLKEM768), make([]byte, 32))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		alg := Algorithm(name)
		if p, err := ParsePeer(alg, data); err == nil {
			if !bytes.Equal(p.Encode(), data) {
				t.Fatalf("%s: %x is written as %x", alg, data, p.Encode())
			}
			if alg.IsMLKEM() {
				return // any bytes of the right length are a ciphertext
			}
			_, k := agreementKey(t, alg)
			if z, err := k.ECDH(p.key); err != nil || bytes.Equal(z, make([]byte, 32)) {
				t.Fatalf("%s: agrees on nothing with %x: %v", alg, data, err)
			}
		}
		if s, err := ParseScalar(alg, data); err == nil {
			if !bytes.Equal(s.Encode(), data) {
				t.Fatalf("%s: %x is written as %x", alg, data, s.Encode())
			}
			var p *Public
			if alg.IsMLKEM() {
				p, _ = mlkemKey(t)
			}
			if _, err := ParsePeer(alg, peerOf(t, s, p).Encode()); err != nil {
				t.Fatalf("%s: the peer of %x: %v", alg, data, err)
			}
		}
	})
}
