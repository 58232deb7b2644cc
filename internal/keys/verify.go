package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ed25519"
)

// ErrSignature is a well-formed signature that doesn't verify.
var ErrSignature = errors.New("the signature does not verify")

// Verify checks a signature over msg, made for what the context says: Ed25519 pure;
// ECDSA in DER with low S over Digest(msg); RSA-PSS with SHA-256, MGF1-SHA-256 and a
// salt of 32 bytes; ML-DSA pure, with the context.
func (p *Public) Verify(as Context, msg, sig []byte) error {
	if err := as.Check(); err != nil {
		return err
	}
	switch k := p.key.(type) {
	case ed25519.PublicKey:
		return VerifyEd25519(k, msg, sig)
	case *ecdsa.PublicKey:
		if err := checkECDSA(p.alg, sig); err != nil {
			return err
		}
		if !ecdsa.VerifyASN1(k, Digest(p.alg, msg), sig) {
			return ErrSignature
		}
		return nil
	case *rsa.PublicKey:
		opt := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
		if rsa.VerifyPSS(k, crypto.SHA256, Digest(p.alg, msg), sig, opt) != nil {
			return ErrSignature
		}
		return nil
	case mldsaKey:
		return k.verify(as, msg, sig)
	}
	return fmt.Errorf("a key of kind %s can't sign", p.alg)
}

// group is the order of a curve's group, as a number and as big-endian bytes, and
// half of it, rounded down.
type group struct {
	order       *big.Int
	bytes, half []byte
}

// FIPS 186-4, D.1.2.3 and D.1.2.4.
var (
	group256 = groupOf("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
	group384 = groupOf("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973")
)

func groupOf(hex string) *group {
	n, _ := new(big.Int).SetString(hex, 16)
	return &group{n, n.Bytes(), new(big.Int).Rsh(n, 1).FillBytes(make([]byte, len(n.Bytes())))}
}

func groupFor(alg Algorithm) *group {
	if alg == P384 {
		return group384
	}
	return group256
}

// checkECDSA takes only the one DER encoding with the lower of the two S that
// verify: otherwise anyone could make a second signature from a first.
func checkECDSA(alg Algorithm, sig []byte) error {
	var pair, r, s cryptobyte.String
	in := cryptobyte.String(sig)
	if !in.ReadASN1(&pair, asn1.SEQUENCE) || !in.Empty() || !pair.ReadASN1(&r, asn1.INTEGER) || !pair.ReadASN1(&s, asn1.INTEGER) || !minimal(r) || !minimal(s) {
		return errors.New("the signature is no DER ECDSA signature")
	}
	g := groupFor(alg)
	var low [48]byte
	for _, number := range [][]byte{r, s} {
		value := bytes.TrimLeft(number, "\x00")
		if number[0] >= 0x80 || len(value) == 0 || len(value) > len(g.bytes) {
			return errors.New("the ECDSA signature's numbers are out of range")
		}
		low = [48]byte{}
		copy(low[len(g.bytes)-len(value):], value)
		if bytes.Compare(low[:len(g.bytes)], g.bytes) >= 0 {
			return errors.New("the ECDSA signature's numbers are out of range")
		}
	}
	if bytes.Compare(low[:len(g.half)], g.half) > 0 { // of s, which came last
		return errors.New("the ECDSA signature has the higher of its two S")
	}
	if !pair.Empty() {
		return errors.New("the signature is not the canonical DER of its numbers")
	}
	return nil
}

// minimal says whether an INTEGER of DER has no byte that could be left out.
func minimal(number []byte) bool {
	switch {
	case len(number) < 2:
		return len(number) == 1
	case number[0] == 0:
		return number[1] >= 0x80
	}
	return number[0] != 0xff || number[1] < 0x80
}

// SignatureFromRaw turns the r‖s that PKCS#11 gives for ECDSA into DER with
// low S. Other algorithms' signatures are returned as they are.
func SignatureFromRaw(alg Algorithm, raw []byte) ([]byte, error) {
	if alg != P256 && alg != P384 {
		return raw, nil
	}
	n := groupFor(alg).order
	size := (n.BitLen() + 7) / 8
	if len(raw) != 2*size {
		return nil, fmt.Errorf("has %d bytes, r‖s of %s has %d", len(raw), alg, 2*size)
	}
	r, low := new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])
	if new(big.Int).Lsh(low, 1).Cmp(n) > 0 {
		low.Sub(n, low)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(low)
	})
	sig, err := b.Bytes()
	if err == nil {
		err = checkECDSA(alg, sig)
	}
	if err != nil {
		return nil, err
	}
	return sig, nil
}
