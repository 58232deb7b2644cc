package marvell

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/fleetctl/fleetctl/attest"
)

// Attributes of a key, by their type: PKCS#11's numbers, and Marvell's own.
const (
	attrClass            = 0x0000
	attrToken            = 0x0001
	attrPrivate          = 0x0002
	attrLabel            = 0x0003
	attrTrusted          = 0x0086
	attrKeyType          = 0x0100
	attrID               = 0x0102
	attrSensitive        = 0x0103
	attrEncrypt          = 0x0104
	attrDecrypt          = 0x0105
	attrWrap             = 0x0106
	attrUnwrap           = 0x0107
	attrSign             = 0x0108
	attrVerify           = 0x010a
	attrDerive           = 0x010c
	attrPublic           = 0x0120 // an RSA modulus, or an EC point
	attrBits             = 0x0121 // an RSA key's bits, or OpenSSL's number of the curve
	attrExponent         = 0x0122
	attrValueLen         = 0x0161
	attrExtractable      = 0x0162
	attrLocal            = 0x0163
	attrNeverExtractable = 0x0164
	attrAlwaysSensitive  = 0x0165
	attrCheckValue       = 0x0173 // of a public key the first bytes of SHA-1(SPKI)
	attrWrapTrusted      = 0x0210
	attrDigest           = 0x1003 // of a public key SHA-256(SPKI)
	attrSplittable       = 0x80000002
	attrSplit            = 0x80000003
)

const (
	classPublic  = 2
	classPrivate = 3
	classSecret  = 4

	typeRSA = 0
	typeEC  = 3
)

// known says whether an attribute's meaning is published. Those from 0x80000174 to
// 0x80000180 restrict the mechanisms with which a key may be used.
func known(kind uint32) bool {
	switch kind {
	case attrClass, attrToken, attrPrivate, attrLabel, attrTrusted, attrKeyType, attrID, attrSensitive, attrEncrypt, attrDecrypt,
		attrWrap, attrUnwrap, attrSign, attrVerify, attrDerive, attrPublic, attrBits, attrExponent, attrValueLen, attrExtractable,
		attrLocal, attrNeverExtractable, attrAlwaysSensitive, attrCheckValue, attrWrapTrusted, attrDigest, attrSplittable, attrSplit,
		0x80000174, 0x80000175, 0x80000176, 0x80000177, 0x80000178, 0x80000179, 0x80000180:
		return true
	}
	return false
}

// byteOf gives the value of an attribute of one byte.
func (o object) byteOf(kind uint32, name string) (byte, error) {
	v, ok := o.Attrs[kind]
	if !ok || len(v) != 1 {
		return 0, fmt.Errorf("the %s (attribute %#04x) is missing, or isn't one byte", name, kind)
	}
	return v[0], nil
}

// answer gives the value of a yes-or-no attribute: not shown if it is missing.
func (o object) answer(kind uint32) (attest.Answer, error) {
	v, ok := o.Attrs[kind]
	switch {
	case !ok:
		return attest.NotShown, nil
	case len(v) != 1 || v[0] > 1:
		return attest.NotShown, fmt.Errorf("attribute %#04x is neither yes nor no", kind)
	}
	return attest.Of(v[0] == 1), nil
}

// curves are the curves that a ceremony's keys can have, by OpenSSL's numbers.
func curves() map[uint64]elliptic.Curve {
	return map[uint64]elliptic.Curve{0x19f: elliptic.P256(), 0x2cb: elliptic.P384(), 0x2cc: elliptic.P521()}
}

// spki builds the public key that the object's attributes describe.
func (o object) spki() ([]byte, error) {
	kind, err := o.byteOf(attrKeyType, "key type")
	if err != nil {
		return nil, err
	}
	point, bits := o.Attrs[attrPublic], new(big.Int).SetBytes(o.Attrs[attrBits])
	if len(point) == 0 || len(o.Attrs[attrBits]) != 4 {
		return nil, errors.New("the public key (attributes 0x0120, 0x0121) is missing")
	}
	switch kind {
	case typeEC:
		curve, ok := curves()[bits.Uint64()]
		if !ok {
			return nil, fmt.Errorf("the curve %#x isn't known", bits)
		}
		key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			return nil, fmt.Errorf("the public key is no point on its curve: %w", err)
		}
		return x509.MarshalPKIXPublicKey(key)
	case typeRSA:
		e := new(big.Int).SetBytes(o.Attrs[attrExponent])
		n := new(big.Int).SetBytes(point)
		if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || uint64(n.BitLen()) != bits.Uint64() || n.BitLen() > 8192 {
			return nil, errors.New("the RSA key's modulus, size and exponent (attributes 0x0120 to 0x0122) don't fit together")
		}
		return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: int(e.Int64())})
	}
	return nil, fmt.Errorf("keys of the type %#02x aren't known", kind)
}

// keyPair gives the private half of the attested pair, and the public key. If both
// halves are attested, they must have the same public key.
func (b *blob) keyPair() (private object, spki []byte, err error) {
	var classes []byte
	for i, o := range b.Objects {
		class, err := o.byteOf(attrClass, "class")
		if err != nil {
			return private, nil, fmt.Errorf("object %d: %w", i+1, err)
		}
		classes = append(classes, class)
	}
	switch {
	case bytes.Equal(classes, []byte{classPrivate}), bytes.Equal(classes, []byte{classPublic, classPrivate}):
		private = b.Objects[len(classes)-1]
	case bytes.Equal(classes, []byte{classSecret}):
		return private, nil, errors.New("it attests a secret key; the keys of a ceremony are pairs")
	case bytes.Equal(classes, []byte{classPublic}):
		return private, nil, errors.New("it attests only the public half, which says nothing about the private one")
	default:
		return private, nil, fmt.Errorf("it attests objects of the classes %v: a private key, or a public and a private one, are expected", classes)
	}
	for i, o := range b.Objects {
		key, err := o.spki()
		if err != nil {
			return private, nil, fmt.Errorf("object %d: %w", i+1, err)
		}
		digest, sum := o.Attrs[attrDigest], sha256.Sum256(key)
		switch {
		case spki != nil && !bytes.Equal(spki, key):
			return private, nil, errors.New("the two halves attested are of different keys")
		case digest == nil && b.Layout == firmware3:
			return private, nil, fmt.Errorf("object %d lacks the digest of the public key (attribute 0x1003)", i+1)
		case digest != nil && !bytes.Equal(digest, sum[:]):
			return private, nil, fmt.Errorf("object %d: the digest attested (attribute 0x1003) isn't the SHA-256 of the public key attested", i+1)
		}
		spki = key
	}
	return private, spki, nil
}
