package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ed25519"
)

// ErrSignature is a well-formed signature that doesn't verify.
var ErrSignature = errors.New("the signature does not verify")

// Verify checks a signature over msg: Ed25519 pure; ECDSA in DER with low S
// over Digest(msg); RSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes.
func (p *Public) Verify(msg, sig []byte) error {
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
	}
	return fmt.Errorf("a key of kind %s can't sign", p.alg)
}

type ecdsaSignature struct{ R, S *big.Int }

// order is the order of the curve's group.
func order(alg Algorithm) *big.Int {
	hex := "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
	if alg == P384 {
		hex = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
	}
	n, _ := new(big.Int).SetString(hex, 16) // FIPS 186-4, D.1.2.3 and D.1.2.4
	return n
}

// checkECDSA takes only the one DER encoding with the lower of the two S that
// verify: otherwise anyone could make a second signature from a first.
func checkECDSA(alg Algorithm, sig []byte) error {
	var rs ecdsaSignature
	rest, err := asn1.Unmarshal(sig, &rs)
	if err != nil || len(rest) > 0 {
		return errors.New("the signature is no DER ECDSA signature")
	}
	n := order(alg)
	for _, v := range []*big.Int{rs.R, rs.S} {
		if v.Sign() <= 0 || v.Cmp(n) >= 0 {
			return errors.New("the ECDSA signature's numbers are out of range")
		}
	}
	if new(big.Int).Lsh(rs.S, 1).Cmp(n) > 0 {
		return errors.New("the ECDSA signature has the higher of its two S")
	}
	if der, err := asn1.Marshal(rs); err != nil || !bytes.Equal(der, sig) {
		return errors.New("the signature is not the canonical DER of its numbers")
	}
	return nil
}

// SignatureFromRaw turns the r‖s that PKCS#11 gives for ECDSA into DER with
// low S. Other algorithms' signatures are returned as they are.
func SignatureFromRaw(alg Algorithm, raw []byte) ([]byte, error) {
	if alg != P256 && alg != P384 {
		return raw, nil
	}
	n := order(alg)
	size := (n.BitLen() + 7) / 8
	if len(raw) != 2*size {
		return nil, fmt.Errorf("has %d bytes, r‖s of %s has %d", len(raw), alg, 2*size)
	}
	rs := ecdsaSignature{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])}
	if new(big.Int).Lsh(rs.S, 1).Cmp(n) > 0 {
		rs.S.Sub(n, rs.S)
	}
	der, err := asn1.Marshal(rs)
	if err == nil {
		err = checkECDSA(alg, der)
	}
	if err != nil {
		return nil, err
	}
	return der, nil
}
