package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"filippo.io/edwards25519"
)

const (
	smallOrderMsg = "is an Ed25519 key of small order: anyone can sign for it"
	torsionMsg    = "is an Ed25519 key with a torsion part: verifiers disagree about its signatures"
	badRMsg       = "the signature's R is not canonical or of small order"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// torsion gives the eight points of small order, made from a point of order 8
// rather than from a table.
func torsion(t testing.TB) []*edwards25519.Point {
	t8, err := new(edwards25519.Point).SetBytes(unhex(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
	if err != nil {
		t.Fatal(err)
	}
	list, p := []*edwards25519.Point{}, edwards25519.NewIdentityPoint()
	for range 8 {
		list = append(list, p)
		p = new(edwards25519.Point).Add(p, t8)
	}
	if p.Equal(identity) != 1 || list[4].Equal(identity) == 1 {
		t.Fatal("the point hasn't order 8")
	}
	return list
}

// nonCanonical are all encodings of points that have a second one: y from p to
// 2^255-1 with either sign, and x = 0 with the sign set.
func nonCanonical(t testing.TB) (list [][]byte) {
	add := func(b []byte) {
		if p, err := new(edwards25519.Point).SetBytes(b); err == nil {
			if bytes.Equal(p.Bytes(), b) {
				t.Fatalf("%x is canonical", b)
			}
			list = append(list, b)
		}
	}
	for low := 0xed; low <= 0xff; low++ {
		for _, high := range []byte{0x7f, 0xff} {
			add(append(append([]byte{byte(low)}, bytes.Repeat([]byte{0xff}, 30)...), high))
		}
	}
	add(unhex(t, "01"+strings.Repeat("00", 30)+"80"))
	add(unhex(t, "ec"+strings.Repeat("ff", 31)))
	return list
}

func TestKeysThatAreNotOneGoodPointAreNotAdmitted(t *testing.T) {
	refused := func(raw []byte, want string) {
		t.Helper()
		err := AdmitEd25519(raw)
		if err == nil || err.Error() != want {
			t.Errorf("%x: got %v, want %s", raw, err, want)
		}
		if p, err := FromEd25519(raw); err == nil || p != nil {
			t.Errorf("FromEd25519 takes %x", raw)
		}
	}
	good := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	if err := AdmitEd25519(good); err != nil {
		t.Fatal(err)
	}
	a, _ := new(edwards25519.Point).SetBytes(good)
	seen := map[string]bool{}
	for i, p := range torsion(t) {
		refused(p.Bytes(), smallOrderMsg)
		seen[string(p.Bytes())] = true
		if i > 0 {
			refused(new(edwards25519.Point).Add(a, p).Bytes(), torsionMsg)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d points of small order", len(seen))
	}
	list := nonCanonical(t)
	if len(list) < 20 {
		t.Errorf("only %d encodings that aren't canonical", len(list))
	}
	for _, raw := range list {
		refused(raw, "is not the canonical encoding of its Ed25519 point")
	}
	refused(unhex(t, "02"+strings.Repeat("00", 31)), "is no point of Ed25519's curve")
	refused(nil, "has 0 bytes, an Ed25519 key has 32")
	refused(good[:31], "has 31 bytes, an Ed25519 key has 32")
	refused(append(bytes.Clone(good), 0), "has 33 bytes, an Ed25519 key has 32")
}

func TestHonestKeysAreAdmitted(t *testing.T) {
	for i := range 200 {
		seed := sha512.Sum512_256([]byte{byte(i)})
		k := ed25519.NewKeyFromSeed(seed[:])
		pub := k.Public().(ed25519.PublicKey)
		if err := AdmitEd25519(pub); err != nil {
			t.Fatal(err)
		}
		if err := VerifyEd25519(pub, seed[:], ed25519.Sign(k, seed[:])); err != nil {
			t.Fatal(err)
		}
	}
}

// The identity as a key and as R, with S = 0, is a signature of everything.
// crypto/ed25519 takes it. We refuse the key, and the signature as well should
// such a key have come in another way.
func TestIdentityKeySignsEverythingForOthersAndNothingForUs(t *testing.T) {
	sig := append(identity.Bytes(), make([]byte, 32)...)
	keys := append([][]byte{identity.Bytes()}, unhex(t, "ee"+strings.Repeat("ff", 30)+"7f")) // a second name for it
	for _, key := range keys {
		for _, msg := range []string{"", "pay all", "an epoch that nobody signed"} {
			if !ed25519.Verify(key, []byte(msg), sig) {
				t.Errorf("crypto/ed25519 refuses %q under %x: our comment is out of date", msg, key)
			}
			if err := VerifyEd25519(key, []byte(msg), sig); err == nil || err.Error() != badRMsg {
				t.Errorf("VerifyEd25519: %v", err)
			}
		}
		if AdmitEd25519(key) == nil {
			t.Errorf("%x was admitted", key)
		}
	}
}

// signWithR signs under a well-made key with an R of the signer's choice: its
// point is T = r·B + torsion and may be written as he likes.
func signWithR(t testing.TB, seed, msg, rEncoded []byte, r *edwards25519.Scalar) (pub, sig []byte) {
	h := sha512.Sum512(seed)
	a, err := new(edwards25519.Scalar).SetBytesWithClamping(h[:32])
	if err != nil {
		t.Fatal(err)
	}
	pub = new(edwards25519.Point).ScalarBaseMult(a).Bytes()
	kh := sha512.Sum512(bytes.Join([][]byte{rEncoded, pub, msg}, nil))
	k, err := new(edwards25519.Scalar).SetUniformBytes(kh[:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(edwards25519.Scalar).MultiplyAdd(k, a, r)
	return pub, append(bytes.Clone(rEncoded), s.Bytes()...)
}

func TestSignaturesWithAnOddRAreRefused(t *testing.T) {
	seed, msg := bytes.Repeat([]byte{7}, 32), []byte("message")
	zero := edwards25519.NewScalar()
	for i, p := range torsion(t) {
		pub, sig := signWithR(t, seed, msg, p.Bytes(), zero)
		if err := VerifyEd25519(pub, msg, sig); err == nil || err.Error() != badRMsg {
			t.Errorf("R of small order (%d): %v", i, err)
		}
		if i == 0 && !ed25519.Verify(pub, msg, sig) {
			t.Error("crypto/ed25519 refuses R = identity: the check is no longer needed")
		}
	}
	for _, raw := range nonCanonical(t) {
		pub, sig := signWithR(t, seed, msg, raw, zero)
		if err := VerifyEd25519(pub, msg, sig); err == nil || err.Error() != badRMsg {
			t.Errorf("R = %x: %v", raw, err)
		}
		if ed25519.Verify(pub, msg, sig) {
			t.Errorf("crypto/ed25519 takes R = %x", raw)
		}
	}
	// R with a torsion part, which cofactored verifiers take, fails our equation.
	r := scalarOne()
	for i, p := range torsion(t) {
		q := new(edwards25519.Point).Add(edwards25519.NewGeneratorPoint(), p)
		pub, sig := signWithR(t, seed, msg, q.Bytes(), r)
		if err := VerifyEd25519(pub, msg, sig); (i == 0) != (err == nil) || i > 0 && !errors.Is(err, ErrSignature) {
			t.Errorf("R = B + %d·T8: %v", i, err)
		}
	}
	// What is no point can't verify.
	pub, sig := signWithR(t, seed, msg, unhex(t, "02"+strings.Repeat("00", 31)), r)
	if err := VerifyEd25519(pub, msg, sig); !errors.Is(err, ErrSignature) {
		t.Errorf("R that is no point: %v", err)
	}
}

// The check of R by its bytes is the one that decoding it would make.
func TestAdmitRAgreesWithDecoding(t *testing.T) {
	check := func(raw []byte) {
		t.Helper()
		p, err := canonicalPoint(raw)
		if want := err == nil && !hasSmallOrder(p); admitR(raw) != want {
			if _, derr := new(edwards25519.Point).SetBytes(raw); derr == nil {
				t.Errorf("%x: by bytes %t, decoded %t", raw, admitR(raw), want)
			}
		}
	}
	for _, p := range torsion(t) {
		check(p.Bytes())
		if admitR(p.Bytes()) {
			t.Errorf("%x has small order", p.Bytes())
		}
	}
	for _, raw := range nonCanonical(t) {
		check(raw)
	}
	for i := range 2000 {
		h := sha512.Sum512_256([]byte{byte(i), byte(i >> 8)})
		check(h[:])
		small := append(bytes.Repeat([]byte{0xff * byte(i%2)}, 31), h[0]) // close to 0 and to p
		small[0] = byte(i)
		check(small)
	}
}

func TestEd25519SignaturesAreNotMalleable(t *testing.T) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	pub, msg := k.Public().(ed25519.PublicKey), []byte("message")
	sig := ed25519.Sign(k, msg)
	if err := VerifyEd25519(pub, msg, sig); err != nil {
		t.Fatal(err)
	}
	// S + L satisfies the equation, but S must be below L.
	l := unhex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	for _, times := range []int{1, 2, 7} {
		long := bytes.Clone(sig)
		for range times {
			carry := 0
			for i := range l {
				carry += int(long[32+i]) + int(l[i])
				long[32+i] = byte(carry)
				carry >>= 8
			}
		}
		if err := VerifyEd25519(pub, msg, long); !errors.Is(err, ErrSignature) {
			t.Errorf("S + %d·L: %v", times, err)
		}
	}
	for i := range 64 * 8 {
		bad := bytes.Clone(sig)
		bad[i/8] ^= 1 << (i % 8)
		if VerifyEd25519(pub, msg, bad) == nil {
			t.Errorf("bit %d doesn't count", i)
		}
	}
	for _, n := range []int{0, 32, 63} {
		if VerifyEd25519(pub, msg, sig[:n]) == nil {
			t.Errorf("%d bytes verify", n)
		}
	}
	if VerifyEd25519(pub, msg, append(bytes.Clone(sig), 0)) == nil || VerifyEd25519(pub[:31], msg, sig) == nil || VerifyEd25519(nil, msg, sig) == nil {
		t.Error("a wrong length verifies")
	}
	if VerifyEd25519(pub, []byte("massage"), sig) == nil {
		t.Error("another message verifies")
	}
}
