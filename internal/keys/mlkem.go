package keys

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"errors"
	"fmt"
)

// mlkemSPKI begins the one DER that an ML-KEM-768 public key has (RFC 9935, section 4);
// the key's bytes follow.
var mlkemSPKI = []byte{
	0x30, 0x82, 0x04, 0xb2, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02, 0x03, 0x82, 0x04, 0xa1, 0x00,
}

// IsMLKEM says whether keys of this kind agree by ML-KEM: whoever has the public key
// encapsulates a secret in a ciphertext, and the private half takes it out.
func (a Algorithm) IsMLKEM() bool { return a == MLKEM768 }

// FromMLKEM admits an ML-KEM-768 key from its raw bytes, which are checked as FIPS 203,
// section 7.2, demands of whoever encapsulates: length and modulus.
func FromMLKEM(raw []byte) (*Public, error) {
	if len(raw) != mlkem.EncapsulationKeySize768 {
		return nil, fmt.Errorf("has %d bytes, a key of %s has %d", len(raw), MLKEM768, mlkem.EncapsulationKeySize768)
	}
	if opensForAnyone(raw) {
		return nil, fmt.Errorf("is a key of %s with a t of small numbers: anyone can open what is encapsulated to it", MLKEM768)
	}
	spki := append(bytes.Clone(mlkemSPKI), raw...)
	k, err := mlkem.NewEncapsulationKey768(spki[len(mlkemSPKI):])
	if err != nil {
		return nil, fmt.Errorf("is no key of %s: one of its numbers is not below 3329", MLKEM768)
	}
	return &Public{alg: MLKEM768, spki: spki, key: k}, nil
}

// encapsulate makes the ciphertext and the secret that follow from a key and 32 bytes: the
// function ML-KEM.Encaps_internal of FIPS 203, section 6.2. FIPS 203 has the bytes drawn
// inside; here whoever challenges draws them, so that once they are told, anybody can make
// the ciphertext and the secret again.
func encapsulate(p *Public, random []byte) (secret, ciphertext []byte, err error) {
	if p == nil {
		return nil, nil, errors.New("a ciphertext is for one key, and none was given")
	}
	k, ok := p.key.(*mlkem.EncapsulationKey768)
	if !ok {
		return nil, nil, fmt.Errorf("nothing can be encapsulated to a key of kind %s", p.alg)
	}
	return mlkemtest.Encapsulate768(k, random)
}

// Of ML-KEM: q, and the degree of its polynomials.
const mlkemQ, mlkemN = 3329, 256

// opensForAnyone says whether more than half of the numbers of t are within 16 of 0 modulo
// q. Of a key that was generated one in a hundred is. t covers what is encapsulated, and
// small numbers cover nothing: the message can be read from the ciphertext.
func opensForAnyone(raw []byte) bool {
	small, all := 0, 3*mlkemN
	for i := range 3 {
		var f [mlkemN]uint32
		for j := 0; j < mlkemN; j += 2 { // 12 bits each
			b := raw[384*i+j/2*3:]
			f[j], f[j+1] = uint32(b[0])|uint32(b[1]&15)<<8, uint32(b[1])>>4|uint32(b[2])<<4
		}
		fromNTT(&f)
		for _, x := range f {
			if (x+16)%mlkemQ <= 32 {
				small++
			}
		}
	}
	return 2*small > all
}

// fromNTT is FIPS 203's algorithm 10, the inverse of the number-theoretic transform.
func fromNTT(f *[mlkemN]uint32) {
	k := 127
	for length := 2; length <= 128; length *= 2 {
		for start := 0; start < mlkemN; start += 2 * length {
			zeta := power17(k)
			k--
			for j := start; j < start+length; j++ {
				t := f[j] % mlkemQ
				u := f[j+length] % mlkemQ
				f[j] = (t + u) % mlkemQ
				f[j+length] = zeta * (u + mlkemQ - t) % mlkemQ
			}
		}
	}
	for i := range f {
		f[i] = f[i] * 3303 % mlkemQ // 128⁻¹
	}
}

// power17 is 17 to the power of k's seven bits in reverse.
func power17(k int) uint32 {
	out, base := uint32(1), uint32(17)
	for bit := 6; bit >= 0; bit-- {
		if k>>bit&1 == 1 {
			out = out * base % mlkemQ
		}
		base = base * base % mlkemQ
	}
	return out
}
