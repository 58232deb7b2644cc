package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"filippo.io/edwards25519"
	"golang.org/x/crypto/ed25519"
)

// Why so strict: crypto/ed25519.Verify takes public keys of small order, with
// which anyone can forge (the identity element verifies every message with one
// fixed signature), and keys with a torsion part, on whose signatures
// verifiers of other makes disagree. RFC 8032 leaves both open. Keys are
// therefore checked when they are pinned or admitted, and R at each signature.

var (
	identity = edwards25519.NewIdentityPoint()
	// minusOne is L-1, so that minusOne·A + A = L·A, which is the identity
	// for a point without torsion part and only for such.
	minusOne = new(edwards25519.Scalar).Negate(scalarOne())
)

func scalarOne() *edwards25519.Scalar {
	one, err := new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic(err) // the constant 1 is canonical
	}
	return one
}

// AdmitEd25519 says whether raw may be pinned or used as a public key: 32
// bytes, canonical, not of small order, free of torsion.
func AdmitEd25519(raw []byte) error {
	if len(raw) != ed25519.PublicKeySize {
		return fmt.Errorf("has %d bytes, an Ed25519 key has %d", len(raw), ed25519.PublicKeySize)
	}
	key := [32]byte(raw)
	if admitted.has(key) {
		return nil
	}
	if err := admitPoint(raw); err != nil {
		return err
	}
	admitted.add(key)
	return nil
}

func admitPoint(raw []byte) error {
	p, err := canonicalPoint(raw)
	if err != nil {
		return err
	}
	if smallOrder(p) {
		return errors.New("is an Ed25519 key of small order: anyone can sign for it")
	}
	la := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(minusOne, p, edwards25519.NewScalar()) // nothing is secret
	if la.Add(la, p).Equal(identity) != 1 {
		return errors.New("is an Ed25519 key with a torsion part: verifiers disagree about its signatures")
	}
	return nil
}

// VerifyEd25519 checks a pure Ed25519 signature (RFC 8032, 5.1.7) by the
// cofactorless equation with S < L and R canonical and not of small order.
// The key must have been admitted.
func VerifyEd25519(pub, msg, sig []byte) error {
	if len(pub) != ed25519.PublicKeySize {
		return errors.New("the Ed25519 key has a wrong length")
	}
	if len(sig) != ed25519.SignatureSize {
		return fmt.Errorf("the signature has %d bytes, an Ed25519 signature has %d", len(sig), ed25519.SignatureSize)
	}
	if !admitR(sig[:32]) {
		return errors.New("the signature's R is not canonical or of small order")
	}
	if !ed25519.Verify(pub, msg, sig) {
		return ErrSignature
	}
	return nil
}

// smallOrderY are the y coordinates of the eight points of small order: 1, -1
// and 0 for orders 1, 2 and 4, and the two of order 8.
var smallOrderY = [5][32]byte{
	fromHex("0100000000000000000000000000000000000000000000000000000000000000"),
	fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	fromHex("0000000000000000000000000000000000000000000000000000000000000000"),
	fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
	fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
}

func fromHex(s string) [32]byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a slip in the table above
	}
	return [32]byte(b)
}

// admitR says whether R is canonical and not of small order, provided that it
// is a point at all: what is no point can't verify, for crypto/ed25519 compares
// R's bytes to those of a point that it has computed. So R needn't be decoded.
//
// Its order is small exactly if its y is in the table, for x and -x have one
// order. An encoding isn't canonical in two ways only: y isn't below p, or x is
// 0 and its sign is set; x is 0 for y = 1 and y = -1 alone, both in the table.
func admitR(raw []byte) bool {
	y := [32]byte(raw)
	y[31] &= 0x7f
	if aboveP(y[:]) {
		return false
	}
	for _, small := range smallOrderY {
		if y == small {
			return false
		}
	}
	return true
}

// aboveP says whether 32 bytes below 2^255, least first, are p = 2^255-19 or
// more.
func aboveP(y []byte) bool {
	for _, b := range y[1:31] {
		if b != 0xff {
			return false
		}
	}
	return y[31] == 0x7f && y[0] >= 0xed
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

func smallOrder(p *edwards25519.Point) bool {
	return new(edwards25519.Point).MultByCofactor(p).Equal(identity) == 1
}
