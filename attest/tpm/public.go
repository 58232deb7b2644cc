package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"math/big"

	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
)

// The TPM_ALG_ID values that are known here (TPM 2.0 Library, Part 2, 6.3).
const (
	algRSA    = 0x0001
	algSHA1   = 0x0004
	algSHA256 = 0x000b
	algSHA384 = 0x000c
	algSHA512 = 0x000d
	algNull   = 0x0010
	algRSASSA = 0x0014
	algRSAES  = 0x0015
	algRSAPSS = 0x0016
	algOAEP   = 0x0017
	algECDSA  = 0x0018
	algECDH   = 0x0019
	algECC    = 0x0023
)

func hashes(alg uint16) crypto.Hash {
	switch alg {
	case algSHA1:
		return crypto.SHA1
	case algSHA256:
		return crypto.SHA256
	case algSHA384:
		return crypto.SHA384
	case algSHA512:
		return crypto.SHA512
	}
	return 0
}

func curves() map[uint16]elliptic.Curve {
	return map[uint16]elliptic.Curve{3: elliptic.P256(), 4: elliptic.P384(), 5: elliptic.P521()}
}

// The bits of TPMA_OBJECT (TPM 2.0 Library, Part 2, 8.3).
const (
	fixedTPM            = 1 << 1
	stClear             = 1 << 2
	fixedParent         = 1 << 4
	sensitiveDataOrigin = 1 << 5
	userWithAuth        = 1 << 6
	adminWithPolicy     = 1 << 7
	noDA                = 1 << 10
	encryptedDuplicate  = 1 << 11
	restricted          = 1 << 16
	decrypt             = 1 << 17
	sign                = 1 << 18
	x509Sign            = 1 << 19

	attributes = fixedTPM | stClear | fixedParent | sensitiveDataOrigin | userWithAuth | adminWithPolicy | noDA |
		encryptedDuplicate | restricted | decrypt | sign | x509Sign
)

// public is the TPMT_PUBLIC of an RSA or elliptic-curve key.
type public struct {
	attrs uint32
	key   crypto.PublicKey
	spki  []byte
	name  []byte // nameAlg and the digest of the public area
	ecc   bool
}

func (p *public) has(bits uint32) bool { return p.attrs&bits == bits }

// parsePublic reads a TPMT_PUBLIC, or a TPM2B_PUBLIC, which is one after its length: tools
// write either. A TPMT_PUBLIC never begins with its own length.
func parsePublic(what string, data []byte) (*public, error) {
	if len(data) > 2 && int(binary.BigEndian.Uint16(data)) == len(data)-2 {
		data = data[2:]
	}
	w := &wire{rest: data}
	p := &public{}
	kind, nameAlg := w.u16(), w.u16()
	if h := hashes(nameAlg); h == 0 || h == crypto.SHA1 {
		w.fail("the algorithm %#04x of its name is not taken", nameAlg)
	}
	if p.attrs = w.u32(); p.attrs&^attributes != 0 {
		w.fail("attributes %#08x, of which not all are known", p.attrs)
	}
	w.buffer("a policy", 64)
	if alg := w.u16(); alg != algNull {
		w.fail("a symmetric algorithm %#04x, which only keys for storage have", alg)
	}
	w.scheme()
	switch kind {
	case algECC:
		p.ecc, p.key = true, w.point()
	case algRSA:
		p.key = w.modulus()
	default:
		w.fail("a key of the kind %#04x is not taken", kind)
	}
	if err := w.done(what); err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(p.key)
	if err != nil {
		return nil, err
	}
	h := hashes(nameAlg).New()
	h.Write(data)
	p.spki, p.name = spki, h.Sum(binary.BigEndian.AppendUint16(nil, nameAlg))
	return p, nil
}

// scheme reads a TPMT_ASYM_SCHEME.
func (w *wire) scheme() {
	switch alg := w.u16(); alg {
	case algNull, algRSAES:
	case algRSASSA, algRSAPSS, algOAEP, algECDSA, algECDH:
		if h := w.u16(); hashes(h) == 0 {
			w.fail("the hash %#04x of its scheme is not taken", h)
		}
	default:
		w.fail("the scheme %#04x is not taken", alg)
	}
}

func (w *wire) point() crypto.PublicKey {
	id := w.u16()
	curve := curves()[id]
	if curve == nil {
		w.fail("the curve %#04x is not taken", id)
	}
	if kdf := w.u16(); kdf != algNull {
		w.fail("a key derivation %#04x, which no key that is taken has", kdf)
	}
	x, y := w.buffer("a coordinate", 66), w.buffer("a coordinate", 66)
	if w.err != nil {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size {
		w.fail("a coordinate that is longer than its curve's")
		return nil
	}
	point := make([]byte, 1+2*size)
	point[0] = 4
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		w.fail("the point is not on its curve")
	}
	return key
}

func (w *wire) modulus() crypto.PublicKey {
	bits, e := w.u16(), w.u32()
	if e == 0 {
		e = 65537
	}
	n := w.buffer("a modulus", 1024)
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(e)}
	switch {
	case w.err != nil:
	case bits < 2048 || key.N.BitLen() != int(bits):
		w.fail("an RSA key of %d bits that says %d; 2048 and more are taken", key.N.BitLen(), bits)
	case e < 65537 || e%2 == 0 || e > 1<<31-1 || key.N.Bit(0) == 0:
		w.fail("an RSA key with the exponent %d", e)
	}
	return key
}

// sameKey says whether two public keys are the same.
func sameKey(a *public, spki []byte) bool { return bytes.Equal(a.spki, spki) }
