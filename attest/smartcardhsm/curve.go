package smartcardhsm

import (
	"encoding/asn1"
	"math/big"
)

// curve is a short Weierstrass curve y² = x³ + ax + b over a prime field, with
// cofactor one. Go's standard library doesn't have Brainpool's curves. The time that
// this code takes depends on its inputs, so it is only used to verify, never to
// sign.
type curve struct {
	name   string
	oid    asn1.ObjectIdentifier
	p      *big.Int
	a, b   *big.Int
	gx, gy *big.Int
	n      *big.Int
	size   int // octets of a coordinate
}

func newCurve(name string, oid asn1.ObjectIdentifier, p, a, b, gx, gy, n string) *curve {
	c := &curve{name: name, oid: oid}
	for _, v := range []struct {
		to  **big.Int
		hex string
	}{{&c.p, p}, {&c.a, a}, {&c.b, b}, {&c.gx, gx}, {&c.gy, gy}, {&c.n, n}} {
		*v.to, _ = new(big.Int).SetString(v.hex, 16)
	}
	c.size = (c.p.BitLen() + 7) / 8
	return c
}

// curves are the curves that a request's key may have. The first is that of the keys
// with which CardContact certifies its devices: RFC 5639, section 3.4.
func curves() []*curve {
	return []*curve{
		newCurve("brainpoolP256r1", asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 7},
			"a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
			"7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9",
			"26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6",
			"8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262",
			"547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997",
			"a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7"),
		newCurve("P-256", asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7},
			"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
			"ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
			"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
			"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
			"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
			"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
		newCurve("P-384", asn1.ObjectIdentifier{1, 3, 132, 0, 34},
			"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
			"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
			"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
			"aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
			"3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
			"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"),
		newCurve("secp256k1", asn1.ObjectIdentifier{1, 3, 132, 0, 10},
			"fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
			"0",
			"7",
			"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
			"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
			"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
	}
}

// point reads an uncompressed point. It gives nil if the point isn't on the curve.
func (c *curve) point(b []byte) (x, y *big.Int) {
	if len(b) != 1+2*c.size || b[0] != 4 {
		return nil, nil
	}
	x, y = new(big.Int).SetBytes(b[1:1+c.size]), new(big.Int).SetBytes(b[1+c.size:])
	if x.Cmp(c.p) >= 0 || y.Cmp(c.p) >= 0 {
		return nil, nil
	}
	// x³ + ax + b - y²
	r := new(big.Int).Mul(x, x)
	r.Add(r, c.a).Mul(r, x).Add(r, c.b).Sub(r, new(big.Int).Mul(y, y))
	if r.Mod(r, c.p).Sign() != 0 {
		return nil, nil
	}
	return x, y
}

// verify checks an ECDSA signature over a digest. The signature is r and s, one
// after the other, with the same length.
func (c *curve) verify(x, y *big.Int, digest, sig []byte) bool {
	width := (c.n.BitLen() + 7) / 8
	if x == nil || y == nil || len(sig) != 2*width {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:width]), new(big.Int).SetBytes(sig[width:])
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(c.n) >= 0 || s.Cmp(c.n) >= 0 {
		return false
	}
	e := new(big.Int).SetBytes(digest)
	if over := len(digest)*8 - c.n.BitLen(); over > 0 {
		e.Rsh(e, uint(over))
	}
	w := new(big.Int).ModInverse(s, c.n)
	u1 := new(big.Int).Mul(e, w)
	u2 := w.Mul(r, w)
	vx, _ := c.sum(u1.Mod(u1, c.n), u2.Mod(u2, c.n), x, y)
	return vx != nil && vx.Mod(vx, c.n).Cmp(r) == 0
}

// jacobian stands for (x/z², y/z³); z = 0 is the point at infinity.
type jacobian struct{ x, y, z *big.Int }

// sum is u1·G + u2·Q; nil is the point at infinity.
func (c *curve) sum(u1, u2, qx, qy *big.Int) (x, y *big.Int) {
	one := big.NewInt(1)
	g, q := jacobian{c.gx, c.gy, one}, jacobian{qx, qy, one}
	both := c.add(g, q)
	at := jacobian{new(big.Int), new(big.Int), new(big.Int)}
	for i := max(u1.BitLen(), u2.BitLen()) - 1; i >= 0; i-- {
		at = c.double(at)
		switch {
		case u1.Bit(i) == 1 && u2.Bit(i) == 1:
			at = c.add(at, both)
		case u1.Bit(i) == 1:
			at = c.add(at, g)
		case u2.Bit(i) == 1:
			at = c.add(at, q)
		}
	}
	if at.z.Sign() == 0 {
		return nil, nil
	}
	inv := new(big.Int).ModInverse(at.z, c.p)
	square := c.mul(inv, inv)
	return c.mul(at.x, square), c.mul(at.y, c.mul(square, inv))
}

func (c *curve) mul(a, b *big.Int) *big.Int {
	r := new(big.Int).Mul(a, b)
	return r.Mod(r, c.p)
}

func (c *curve) sub(a, b *big.Int) *big.Int {
	r := new(big.Int).Sub(a, b)
	return r.Mod(r, c.p)
}

func (c *curve) double(p jacobian) jacobian {
	if p.z.Sign() == 0 || p.y.Sign() == 0 {
		return jacobian{new(big.Int), new(big.Int), new(big.Int)}
	}
	yy := c.mul(p.y, p.y)
	s := c.mul(big.NewInt(4), c.mul(p.x, yy))
	zz := c.mul(p.z, p.z)
	m := new(big.Int).Mul(big.NewInt(3), c.mul(p.x, p.x))
	m.Add(m, c.mul(c.a, c.mul(zz, zz))).Mod(m, c.p)
	x := c.sub(c.mul(m, m), new(big.Int).Lsh(s, 1))
	y := c.sub(c.mul(m, c.sub(s, x)), new(big.Int).Lsh(c.mul(yy, yy), 3))
	return jacobian{x, y, c.mul(new(big.Int).Lsh(p.y, 1), p.z)}
}

func (c *curve) add(p, q jacobian) jacobian {
	if p.z.Sign() == 0 {
		return q
	}
	if q.z.Sign() == 0 {
		return p
	}
	pzz, qzz := c.mul(p.z, p.z), c.mul(q.z, q.z)
	u1, u2 := c.mul(p.x, qzz), c.mul(q.x, pzz)
	s1, s2 := c.mul(p.y, c.mul(q.z, qzz)), c.mul(q.y, c.mul(p.z, pzz))
	h, r := c.sub(u2, u1), c.sub(s2, s1)
	if h.Sign() == 0 {
		if r.Sign() == 0 {
			return c.double(p)
		}
		return jacobian{new(big.Int), new(big.Int), new(big.Int)}
	}
	hh := c.mul(h, h)
	hhh := c.mul(h, hh)
	v := c.mul(u1, hh)
	x := c.sub(c.sub(c.mul(r, r), hhh), new(big.Int).Lsh(v, 1))
	y := c.sub(c.mul(r, c.sub(v, x)), c.mul(s1, hhh))
	return jacobian{x, y, c.mul(h, c.mul(p.z, q.z))}
}
