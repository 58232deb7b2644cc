package keys

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// What admission decides by bytes and by roots, by definition: the tests hold
// the one to the other.
var (
	identity = edwards25519.NewIdentityPoint()
	// minusOne is L-1, so that minusOne·A + A = L·A.
	minusOne = new(edwards25519.Scalar).Negate(scalarOne())
)

func scalarOne() *edwards25519.Scalar {
	one, err := new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic(err) // the constant 1 is canonical
	}
	return one
}

func canonicalPoint(raw []byte) (*edwards25519.Point, error) {
	p, err := new(edwards25519.Point).SetBytes(raw)
	if err != nil {
		return nil, errors.New("is no point of Ed25519's curve")
	}
	if !bytes.Equal(p.Bytes(), raw) {
		return nil, errors.New("is not the canonical encoding of its Ed25519 point")
	}
	return p, nil
}

func hasSmallOrder(p *edwards25519.Point) bool {
	return new(edwards25519.Point).MultByCofactor(p).Equal(identity) == 1
}

func hasTorsion(p *edwards25519.Point) bool {
	lp := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(minusOne, p, edwards25519.NewScalar())
	return lp.Add(lp, p).Equal(identity) != 1
}

// admitByDefinition is admission as RFC 8032 and the group's order give it.
func admitByDefinition(raw []byte) error {
	p, err := canonicalPoint(raw)
	switch {
	case err != nil:
		return err
	case hasSmallOrder(p):
		return errors.New(smallOrderMsg)
	case hasTorsion(p):
		return errors.New(torsionMsg)
	}
	return nil
}

func sameVerdict(t testing.TB, raw []byte) (admitted bool) {
	t.Helper()
	got, want := admitPoint(raw), admitByDefinition(raw)
	if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
		t.Fatalf("%x: admission says %v, the definition %v", raw, got, want)
	}
	return got == nil
}

// TestAdmissionIsTheDefinition goes through every coset of the torsion-free
// points alike: a point without torsion plus each of the eight.
func TestAdmissionIsTheDefinition(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 60
	}
	eight := torsion(t)
	admitted, refused := 0, 0
	for i := range n {
		h := sha512.Sum512([]byte{byte(i), byte(i >> 8), 't'})
		s, err := new(edwards25519.Scalar).SetUniformBytes(h[:])
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			s = scalarOne() // the generator
		}
		free := new(edwards25519.Point).ScalarBaseMult(s)
		for j, small := range eight {
			if ok := sameVerdict(t, new(edwards25519.Point).Add(free, small).Bytes()); ok != (j == 0) {
				t.Fatalf("%x + %d·T8: admitted %t", free.Bytes(), j, ok)
			} else if ok {
				admitted++
			} else {
				refused++
			}
		}
		// Any point at all, and mostly what is none.
		if sameVerdict(t, h[:32]) {
			admitted++
		} else {
			refused++
		}
	}
	for _, p := range eight {
		sameVerdict(t, p.Bytes())
	}
	for _, raw := range nonCanonical(t) {
		sameVerdict(t, raw)
	}
	// Small y, and y close to p, with either sign.
	for i := range 2 * 256 {
		for _, fill := range []byte{0, 0xff} {
			raw := bytes.Repeat([]byte{fill}, 32)
			raw[0] = byte(i)
			raw[31] = fill&0x7f | byte(i>>8)<<7
			sameVerdict(t, raw)
		}
	}
	t.Logf("%d admitted, %d refused, as by definition", admitted, refused)
}

// A point that was just decoded has Z = 1, on which torsionFree relies.
func TestDecodedPointsAreAffine(t *testing.T) {
	for i := range 100 {
		h := sha512.Sum512([]byte{byte(i)})
		p, err := new(edwards25519.Point).SetBytes(h[:32])
		if err != nil {
			continue
		}
		if _, _, z, _ := p.ExtendedCoordinates(); z.Equal(new(field.Element).One()) != 1 {
			t.Fatalf("%x has another Z", h[:32])
		}
	}
}

func FuzzAdmitEd25519(f *testing.F) {
	for _, p := range torsion(f) {
		f.Add(p.Bytes())
		f.Add(new(edwards25519.Point).Add(edwards25519.NewGeneratorPoint(), p).Bytes())
	}
	for _, raw := range nonCanonical(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) != 32 {
			if AdmitEd25519(raw) == nil {
				t.Fatalf("%x is admitted", raw)
			}
			return
		}
		sameVerdict(t, raw)
	})
}
