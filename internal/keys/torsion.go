package keys

import (
	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// The definition of a torsion-free point A is L·A = 0, for the group's prime
// order L: 252 doublings. The group has L·8 elements and is cyclic, so the
// torsion-free points are exactly those that can be halved three times, and
// that is decided by roots in the field, at a fifth of the cost; the tests hold
// it to the definition.
//
// On the curve's Montgomery form v² = u³ + A·u² + u (RFC 7748, section 4.1),
// with u = (1+y)/(1-y) and v = c·u/x:
//
//   - P can be halved exactly if u is a square, w².
//   - Halving goes through the 2-isogenous curve: of A + 2w² + 2wc/x and
//     A + 2w² - 2wc/x, whose product A²-4 is no square, exactly one is a square,
//     s². With e = c/x, or -c/x for the second, the point with u = w(w+e+s) and
//     v = s·u is a half of P or of -P, which makes no difference here; nor does
//     it matter which half, for they differ by a point that can itself be halved
//     twice.
//   - Whether that half can be halved twice more is told by its Tate pairing of
//     order 4 with the point T = (1, √(A+2)), which generates the points of order
//     4: it can exactly if (v - √(A+2)·u)²/u is a fourth power. This function
//     has its four zeros in T and its four poles in 0 (Galbraith, "Mathematics
//     of Public Key Cryptography", chapter 26; for membership Koshelev,
//     eprint.iacr.org/2022/037, and Pornin, eprint.iacr.org/2022/1164).
var (
	fieldOne = new(field.Element).One()
	montA    = new(field.Element).Mult32(fieldOne, 486662)
	rootM1   = mustRoot(new(field.Element).Negate(fieldOne))
	montC    = mustRoot(new(field.Element).Negate(new(field.Element).Mult32(fieldOne, 486664))) // √-(A+2)
	montV4   = new(field.Element).Multiply(rootM1, montC)                                       // √(A+2)
	// √(√-1·(A²-4)): neither factor is a square, so their product is.
	montK = mustRoot(new(field.Element).Multiply(rootM1, new(field.Element).Subtract(new(field.Element).Square(montA), new(field.Element).Mult32(fieldOne, 4))))
)

func mustRoot(x *field.Element) *field.Element {
	r, ok := new(field.Element).SqrtRatio(x, fieldOne)
	if ok != 1 {
		panic("a constant has no root") // a slip above
	}
	return r
}

// torsionFree says whether a point's order is L. It must have been decoded just
// now, so that its Z is 1, and not be of small order: those have x = 0, y = 0 or
// other zeros in what follows. Nothing is secret, so branches are free to tell.
func torsionFree(p *edwards25519.Point) bool {
	x, y, _, _ := p.ExtendedCoordinates()
	var w, n, s, e, r, t field.Element
	if _, ok := w.SqrtRatio(n.Add(fieldOne, y), t.Subtract(fieldOne, y)); ok != 1 {
		return false
	}
	// s and e are times x, so n is times x²: it spares a division.
	var x2 field.Element
	x2.Square(x)
	n.Square(&w)
	n.Add(&n, &n)
	n.Add(&n, montA)
	n.Multiply(&n, &x2)
	t.Multiply(&w, x)
	t.Multiply(&t, montC)
	n.Add(&n, t.Add(&t, &t))
	e.Set(montC)
	r.One()
	if _, ok := s.SqrtRatio(&n, fieldOne); ok != 1 {
		// It gave √(√-1·n), and n times the other candidate is (A²-4)·x⁴: so the
		// other's root is s/r with r = √(√-1·n) and s = √(√-1·(A²-4))·x².
		e.Negate(montC)
		r.Set(&s)
		s.Multiply(montK, &x2)
	}
	// u·(s-√(A+2))², times x⁴·r⁴: a fourth power changes nothing.
	t.Multiply(&w, x)
	t.Add(&t, &e)
	t.Multiply(&t, &r)
	t.Add(&t, &s)
	t.Multiply(&t, &w)
	t.Multiply(&t, x)
	t.Multiply(&t, &r)
	n.Multiply(montV4, x)
	n.Multiply(&n, &r)
	n.Subtract(&s, &n)
	t.Multiply(&t, n.Square(&n))
	// (p-1)/4 = 2·(p-5)/8 + 1
	n.Pow22523(&t)
	n.Square(&n)
	return n.Multiply(&n, &t).Equal(fieldOne) == 1
}
