package smartcardhsm

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"testing"
)

// signer is a key pair of the generator's. Its secrets are fixed numbers.
type signer struct {
	key
	d *big.Int
}

func newSigner(c *curve, seed string) *signer {
	h := sha256.Sum256([]byte(seed))
	s := &signer{key: key{curve: c, digest: schemes()[[2]byte{2, 3}]}, d: new(big.Int).SetBytes(h[:31])}
	s.x, s.y = c.sum(s.d, new(big.Int), c.gx, c.gy)
	s.point = append([]byte{4}, append(s.x.FillBytes(make([]byte, c.size)), s.y.FillBytes(make([]byte, c.size))...)...)
	return s
}

func (s *signer) sign(message []byte) []byte {
	e := sha256.Sum256(message)
	seed := sha256.Sum256(append(e[:], s.d.Bytes()...))
	k := new(big.Int).SetBytes(seed[:31])
	x, _ := s.curve.sum(k, new(big.Int), s.curve.gx, s.curve.gy)
	r := x.Mod(x, s.curve.n)
	v := new(big.Int).Mul(r, s.d)
	v.Add(v, new(big.Int).SetBytes(e[:])).Mul(v, new(big.Int).ModInverse(k, s.curve.n)).Mod(v, s.curve.n)
	width := (s.curve.n.BitLen() + 7) / 8
	return append(r.FillBytes(make([]byte, width)), v.FillBytes(make([]byte, width))...)
}

func tlv(tag int, parts ...[]byte) []byte {
	v := bytes.Join(parts, nil)
	out := []byte{byte(tag)}
	if tag > 0xff {
		out = []byte{byte(tag >> 8), byte(tag)}
	}
	switch n := len(v); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	default:
		out = append(out, 0x82, byte(n>>8), byte(n))
	}
	return append(out, v...)
}

// object writes the key, with the domain parameters of its curve or without.
func (s *signer) object(domain bool) []byte {
	c, oid := s.curve, tlv(6, idTA, []byte{2, 3})
	if !domain {
		return tlv(tagKey, oid, tlv(0x86, s.point))
	}
	fill := func(v *big.Int) []byte { return v.FillBytes(make([]byte, c.size)) }
	return tlv(tagKey, oid, tlv(0x81, fill(c.p)), tlv(0x82, fill(c.a)), tlv(0x83, fill(c.b)),
		tlv(0x84, []byte{4}, fill(c.gx), fill(c.gy)), tlv(0x85, fill(c.n)), tlv(0x86, s.point), tlv(0x87, []byte{1}))
}

// recipe makes evidence; everything in it is signed by whoever it says.
type recipe struct {
	root, issuer, device, made *signer
	signsDevice                *signer // nil: issuer
	signsOuter                 *signer // nil: device
	signsInner                 *signer // nil: made
	names                      [3]string
	roles                      [3]byte
	from, until                [6]byte // of the device's certificate
	fields                     func([][]byte) [][]byte
	body                       func([][]byte) [][]byte // of the device's certificate
	requestFor                 string                  // the device that the request names
	key                        []byte                  // the key object in the request
	rootKey                    []byte                  // the key object in the root's certificate
	order                      [3]int
	after                      func(request, chain []byte) ([]byte, []byte)
}

func good() *recipe {
	return &recipe{
		root: newSigner(curves()[0], "root"), issuer: newSigner(curves()[0], "issuer"),
		device: newSigner(curves()[0], "device"), made: newSigner(curves()[1], "made"),
		names: [3]string{"TESTHSM000100000", "TESTDICA00001", "TESTSRCA00001"}, roles: [3]byte{0x00, 0x80, 0xc0},
		from: [6]byte{2, 6, 0, 1, 0, 1}, until: [6]byte{3, 1, 0, 1, 0, 1}, order: [3]int{0, 1, 2},
	}
}

func (r *recipe) certificate(i int, key []byte, signs *signer) []byte {
	fields := [][]byte{tlv(tagProfile, []byte{0}), tlv(tagIssuer, []byte(r.names[min(i+1, 2)])), key, tlv(tagHolder, []byte(r.names[i])),
		tlv(tagRole, tlv(6, holderRole), tlv(0x53, r.roles[i:i+1])), tlv(tagFrom, r.from[:]), tlv(tagUntil, r.until[:])}
	if i == 0 && r.body != nil {
		fields = r.body(fields)
	}
	body := tlv(tagBody, fields...)
	return tlv(tagCertificate, body, tlv(tagSignature, signs.sign(body)))
}

func (r *recipe) build() (request, chain []byte) {
	or := func(s, otherwise *signer) *signer {
		if s != nil {
			return s
		}
		return otherwise
	}
	if r.rootKey == nil {
		r.rootKey = r.root.object(true)
	}
	if r.key == nil {
		r.key = r.made.object(true)
	}
	if r.requestFor == "" {
		r.requestFor = r.names[0]
	}
	certs := [][]byte{
		r.certificate(0, r.device.object(false), or(r.signsDevice, r.issuer)),
		r.certificate(1, r.issuer.object(false), r.root),
		r.certificate(2, r.rootKey, r.root),
	}
	for _, i := range r.order {
		chain = append(chain, certs[i]...)
	}
	fields := [][]byte{tlv(tagProfile, []byte{0}), tlv(tagIssuer, []byte("UTCA00001")), r.key, tlv(tagHolder, []byte("TESTHSM000100001"))}
	if r.fields != nil {
		fields = r.fields(fields)
	}
	body := tlv(tagBody, fields...)
	inner := tlv(tagCertificate, body, tlv(tagSignature, or(r.signsInner, r.made).sign(body)))
	signed := append(inner, tlv(tagIssuer, []byte(r.requestFor))...)
	request = tlv(tagRequest, signed, tlv(tagSignature, or(r.signsOuter, r.device).sign(signed)))
	if r.after != nil {
		return r.after(request, chain)
	}
	return request, chain
}

func TestTheGeneratorsKeysLieOnTheirCurves(t *testing.T) {
	for _, c := range curves() {
		s := newSigner(c, "x")
		if x, y := c.point(s.point); x == nil || y == nil {
			t.Errorf("%s: the generator's point is none of its", c.name)
		}
		if !s.verify([]byte("m"), s.sign([]byte("m"))) || s.verify([]byte("n"), s.sign([]byte("m"))) {
			t.Errorf("%s: the generator's signatures do not verify", c.name)
		}
	}
}
