// Package keys admits public keys and checks signatures, one way for the
// whole project. A key is admitted before anything is verified with it, and
// the algorithm comes from the admitted key, never from a message.
package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ed25519"
)

// Algorithm names a key's kind and with it what it does: sign, or agree on a
// secret. P256 and ECDHP256 are keys of one curve in one encoding, of which each
// does one of the two.
type Algorithm string

// The algorithms a fleet key may have.
const (
	Ed25519  Algorithm = "ed25519"
	P256     Algorithm = "ecdsa-p256"
	P384     Algorithm = "ecdsa-p384"
	X25519   Algorithm = "x25519"
	RSA3072  Algorithm = "rsa-3072"
	ECDHP256 Algorithm = "ecdh-p256"
	MLDSA44  Algorithm = "ml-dsa-44"
	MLDSA65  Algorithm = "ml-dsa-65"
	MLDSA87  Algorithm = "ml-dsa-87"
	MLKEM768 Algorithm = "ml-kem-768"
)

// Algorithms are all of them, in the order of preference.
var Algorithms = []Algorithm{Ed25519, P256, P384, X25519, RSA3072, ECDHP256, MLDSA44, MLDSA65, MLDSA87, MLKEM768}

// Use is what a key is for. A key has one use: what it does in the other counts
// for nothing.
type Use string

// The uses of a key.
const (
	Sign  Use = "sign"
	Agree Use = "agree" // on a secret, with whoever has the other half of a pair
)

// Use is what keys of this kind are for; empty of a kind that isn't known.
func (a Algorithm) Use() Use {
	switch {
	case a == X25519 || a == ECDHP256 || a == MLKEM768:
		return Agree
	case a.Known():
		return Sign
	}
	return ""
}

// Known says whether a is one of Algorithms.
func (a Algorithm) Known() bool {
	for _, b := range Algorithms {
		if a == b {
			return true
		}
	}
	return false
}

// CanSign says whether keys of this kind sign.
func (a Algorithm) CanSign() bool { return a.Use() == Sign }

// MaxSPKI is the size in bytes of the largest SubjectPublicKeyInfo (RFC 5280)
// that a key of this kind has.
func (a Algorithm) MaxSPKI() int {
	switch a {
	case Ed25519, X25519:
		return 44
	case P256, ECDHP256:
		return 91
	case P384:
		return 120
	case RSA3072:
		return 422
	case MLKEM768:
		return len(mlkemSPKI) + mlkem.EncapsulationKeySize768
	}
	if s := mldsaSetOf(a); s != nil {
		return s.maxSPKI()
	}
	return 0
}

// MaxSignature is the size in bytes of the longest signature.
func (a Algorithm) MaxSignature() int {
	switch a {
	case Ed25519:
		return 64
	case P256:
		return 72
	case P384:
		return 104
	case RSA3072:
		return 384
	}
	if s := mldsaSetOf(a); s != nil {
		return s.params().SignatureSize()
	}
	return 0
}

// Public is an admitted public key.
type Public struct {
	alg  Algorithm
	spki []byte
	key  any // ed25519.PublicKey, *ecdsa.PublicKey, *rsa.PublicKey, mldsaKey; *ecdh.PublicKey or *mlkem.EncapsulationKey768 of one that agrees
}

// Algorithm is the key's kind.
func (p *Public) Algorithm() Algorithm { return p.alg }

// SPKI is the key's DER SubjectPublicKeyInfo; not to be written to.
func (p *Public) SPKI() []byte { return p.spki }

// Fingerprint is the SHA-256 of the SPKI.
func (p *Public) Fingerprint() [32]byte { return sha256.Sum256(p.spki) }

// Ed25519 gives the raw 32 bytes of an Ed25519 key.
func (p *Public) Ed25519() (ed25519.PublicKey, bool) {
	k, ok := p.key.(ed25519.PublicKey)
	return k, ok
}

// ed25519SPKI begins the one DER that an Ed25519 key has (RFC 8410, section 4);
// the key's 32 bytes follow.
var ed25519SPKI = []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}

// ParseSPKI admits a key from the one DER encoding that it has. One of P-256 is
// taken for a key that signs: [ParseAs] takes it for what it is said to be.
func ParseSPKI(der []byte) (*Public, error) {
	if raw, ok := bytes.CutPrefix(der, ed25519SPKI); ok && len(raw) == ed25519.PublicKeySize {
		return FromEd25519(raw)
	}
	if p, ours, err := parseMLDSA(der); ours {
		return p, err
	}
	if raw, ok := bytes.CutPrefix(der, mlkemSPKI); ok {
		return FromMLKEM(raw)
	}
	if p := parsed.get(der); p != nil {
		return p, nil
	}
	key, err := x509.ParsePKIXPublicKey(bytes.Clone(der)) // an Ed25519 key shares its memory
	if err != nil {
		return nil, errors.New("is no DER public key (SubjectPublicKeyInfo)")
	}
	p, err := admit(key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.spki, der) {
		return nil, errors.New("is not the canonical DER of its key")
	}
	parsed.add(p)
	return p, nil
}

// FromEd25519 admits a raw Ed25519 key of 32 bytes.
func FromEd25519(raw []byte) (*Public, error) {
	if err := AdmitEd25519(raw); err != nil {
		return nil, err
	}
	spki := append(append(make([]byte, 0, len(ed25519SPKI)+len(raw)), ed25519SPKI...), raw...)
	return &Public{alg: Ed25519, spki: spki, key: ed25519.PublicKey(spki[len(ed25519SPKI):])}, nil
}

// FromRSA admits an RSA key from its big-endian modulus and exponent.
func FromRSA(n, e []byte) (*Public, error) {
	exp := new(big.Int).SetBytes(e)
	if !exp.IsInt64() {
		return nil, errors.New("has an RSA exponent that isn't 65537")
	}
	return admit(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())})
}

// FromECDSA admits an ECDSA key.
func FromECDSA(key *ecdsa.PublicKey) (*Public, error) { return admit(key) }

func admit(key any) (*Public, error) {
	p := &Public{key: key}
	switch k := key.(type) {
	case ed25519.PublicKey:
		return FromEd25519(k)
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			p.alg = P256
		case elliptic.P384():
			p.alg = P384
		default:
			return nil, fmt.Errorf("is on curve %s; P-256 and P-384 are allowed", k.Params().Name)
		}
		if _, err := k.ECDH(); err != nil { // checks that the point is on the curve
			return nil, errors.New("is no point of its curve")
		}
	case *rsa.PublicKey:
		if k.N.BitLen() != 3072 || k.E != 65537 {
			return nil, fmt.Errorf("is an RSA key of %d bits and exponent %d; 3072 bits and 65537 are allowed", k.N.BitLen(), k.E)
		}
		p.alg = RSA3072
	case *ecdh.PublicKey:
		if k.Curve() != ecdh.X25519() {
			return nil, errors.New("is of a kind of key that isn't allowed")
		}
		if err := admitX25519(k.Bytes()); err != nil {
			return nil, err
		}
		p.alg = X25519
	default:
		return nil, errors.New("is of a kind of key that isn't allowed")
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("can't be encoded: %w", err)
	}
	p.spki = der
	return p, nil
}

// FromPoint admits a key from a token's CKA_EC_POINT. Tokens give Edwards and
// Montgomery points raw, in an OCTET STRING or in a BIT STRING (PKCS#11 2.40
// and 3.1 differ), and Weierstrass points raw or in an OCTET STRING. Which it
// is follows from the length: trying DER first misreads raw keys that happen
// to look like it.
func FromPoint(alg Algorithm, point []byte) (*Public, error) {
	if alg == ECDHP256 {
		p, err := FromPoint(P256, point)
		if err != nil {
			return nil, err
		}
		return p.as(alg)
	}
	raw, ok := unwrapPoint(alg, point)
	if !ok {
		return nil, fmt.Errorf("has an EC_POINT of %d bytes in no known encoding of %s", len(point), alg)
	}
	switch alg {
	case Ed25519:
		return FromEd25519(raw)
	case X25519:
		k, err := ecdh.X25519().NewPublicKey(raw)
		if err != nil {
			return nil, errors.New("is no X25519 key")
		}
		return admit(k)
	}
	curve := elliptic.P256()
	if alg == P384 {
		curve = elliptic.P384()
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, raw)
	if err != nil {
		return nil, errors.New("is no point of its curve")
	}
	return admit(k)
}

func unwrapPoint(alg Algorithm, p []byte) ([]byte, bool) {
	size, prefixes := 0, [][]byte(nil)
	switch alg {
	case Ed25519, X25519:
		size, prefixes = 32, [][]byte{{}, {0x04, 32}, {0x03, 33, 0}}
	case P256:
		size, prefixes = 65, [][]byte{{}, {0x04, 65}}
	case P384:
		size, prefixes = 97, [][]byte{{}, {0x04, 97}}
	}
	for _, prefix := range prefixes {
		if len(p) == len(prefix)+size && bytes.HasPrefix(p, prefix) {
			return p[len(prefix):], true
		}
	}
	return nil, false
}

// Digest is what a token signs for ECDSA and RSA-PSS: the message's SHA-256,
// SHA-384 for P-384. Ed25519 and ML-DSA sign the message itself.
func Digest(alg Algorithm, msg []byte) []byte {
	switch alg {
	case P256, RSA3072:
		h := sha256.Sum256(msg)
		return h[:]
	case P384:
		h := sha512.Sum384(msg)
		return h[:]
	}
	return msg
}
