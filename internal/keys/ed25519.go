package keys

import (
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
	p, err := new(edwards25519.Point).SetBytes(raw)
	switch {
	case err != nil:
		return errors.New("is no point of Ed25519's curve")
	case !canonical(raw):
		return errors.New("is not the canonical encoding of its Ed25519 point")
	case smallOrder(raw):
		return errors.New("is an Ed25519 key of small order: anyone can sign for it")
	case !torsionFree(p):
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

// canonical says whether the bytes, if they encode a point at all, are its
// canonical encoding. They can fail to be in two ways only: y is p or more, or x
// is 0 and its sign bit is set. x is 0 for y = 1 and y = -1 alone.
func canonical(raw []byte) bool {
	y := [32]byte(raw)
	y[31] &= 0x7f
	zero := y == smallOrderY[0] || y == smallOrderY[1]
	return !aboveP(y[:]) && !(zero && raw[31] != y[31])
}

// smallOrder says whether a point that is encoded canonically is of small
// order. That is so exactly if its y is in the table, for x and -x have one
// order.
func smallOrder(raw []byte) bool {
	y := [32]byte(raw)
	y[31] &= 0x7f
	for _, small := range smallOrderY {
		if y == small {
			return true
		}
	}
	return false
}

// admitR says whether R is canonical and not of small order, provided that it is
// a point at all. R needn't be decoded to find that out: crypto/ed25519 compares
// R's bytes with those of a point that it computes, so bytes that encode no point
// never verify.
func admitR(raw []byte) bool { return canonical(raw) && !smallOrder(raw) }

// aboveP says whether 32 little-endian bytes, of a number below 2^255, are
// p = 2^255-19 or more.
func aboveP(y []byte) bool {
	for _, b := range y[1:31] {
		if b != 0xff {
			return false
		}
	}
	return y[31] == 0x7f && y[0] >= 0xed
}
