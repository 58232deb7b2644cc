//go:build cgo && unix

package hsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Sign signs message with the private key that has this CKA_ID. The signature has the form
// that internal/keys verifies: Ed25519 in 64 bytes, ECDSA over SHA-256 or SHA-384 in DER
// with low S, RSA-PSS with SHA-256 and a salt of 32 bytes, ML-DSA with the context of what
// it is for.
//
// The message is hashed here, and the mechanism is CKM_ECDSA, since few tokens have
// mechanisms that hash. Callers verify the signature: some tokens ignore parameters.
func (t *Token) Sign(alg string, id []byte, as keys.Context, message []byte) ([]byte, error) {
	name, a, err := known(alg)
	if err != nil {
		return nil, err
	}
	if a.sign == 0 {
		return nil, fmt.Errorf("%s keys can't sign", name)
	}
	if err := as.Check(); err != nil {
		return nil, err
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	sig, err := t.signWith(name, a, id, as, message)
	return sig, t.wrap(err)
}

func (t *Token) signWith(name keys.Algorithm, a algorithm, id []byte, as keys.Context, message []byte) ([]byte, error) {
	// Look it up each time: a logout invalidates handles, and there may be a second key
	// with the same CKA_ID since.
	h, err := t.half(privateHalf, id)
	if err != nil {
		return nil, err
	}
	if err := t.checkType(h, name, a); err != nil {
		return nil, keyErr(err, privateHalf, id)
	}
	mech := pkcs11.NewMechanism(a.sign, nil)
	data := message
	switch name {
	case keys.P256, keys.P384:
		data = keys.Digest(name, message)
	case keys.RSA3072:
		mech = pkcs11.NewMechanism(a.sign, pssParameters)
		sum := sha256.Sum256(message)
		data = sum[:]
	}
	var raw []byte
	if a.set != 0 {
		raw, err = t.signFor(t.session, a.sign, as, h, data, a.sigBytes)
	} else {
		raw, err = t.sign(t.session, mech, h, data, a.sigBytes)
	}
	if err != nil {
		return nil, keyErr(err, privateHalf, id)
	}
	if len(raw) != a.sigBytes {
		return nil, keyErr(fmt.Errorf("gave a signature of %d bytes, an %s signature has %d", len(raw), name, a.sigBytes), privateHalf, id)
	}
	if name == keys.P256 || name == keys.P384 {
		return keys.SignatureFromRaw(name, raw)
	}
	return raw, nil
}

// Agree has the private key with this CKA_ID agree on a secret with a peer, which is in the
// encoding of [keys.Peer]. The caller clears the secret, and compares it with the one that
// the peer's private half gives: only that shows that the key was used.
func (t *Token) Agree(alg string, id, peer []byte) ([]byte, error) {
	name, a, err := known(alg)
	if err != nil {
		return nil, err
	}
	if name.Use() != keys.Agree {
		return nil, fmt.Errorf("%s keys can't agree on a secret", name)
	}
	p, err := keys.ParsePeer(name, peer)
	if err != nil {
		return nil, fmt.Errorf("the peer %w", err)
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	secret, err := t.agreeWith(name, a, id, p.Point())
	return secret, t.wrap(err)
}

func (t *Token) agreeWith(name keys.Algorithm, a algorithm, id, point []byte) ([]byte, error) {
	h, err := t.half(privateHalf, id)
	if err != nil {
		return nil, err
	}
	if err := t.checkType(h, name, a); err != nil {
		return nil, keyErr(err, privateHalf, id)
	}
	secret, err := t.agree(t.session, a, h, point)
	switch {
	case err != nil:
		return nil, keyErr(err, privateHalf, id)
	case len(secret) != 32:
		n := len(secret)
		clear(secret)
		return nil, keyErr(fmt.Errorf("gave a secret of %d bytes, of %s it has 32", n, name), privateHalf, id)
	case bytes.Equal(secret, make([]byte, 32)):
		return nil, keyErr(errors.New("gave a secret that is all zero: the peer is of low order"), privateHalf, id)
	}
	return secret, nil
}

// PublicKey reads the public key with this CKA_ID as a DER SubjectPublicKeyInfo that
// internal/keys admits. Only a signature shows that the token has the private half.
func (t *Token) PublicKey(alg string, id []byte) ([]byte, error) {
	name, a, err := known(alg)
	if err != nil {
		return nil, err
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	spki, err := t.publicKey(name, a, id)
	return spki, t.wrap(err)
}

func (t *Token) publicKey(name keys.Algorithm, a algorithm, id []byte) ([]byte, error) {
	h, err := t.half(publicHalf, id)
	if err != nil {
		return nil, err
	}
	key, err := t.readKey(h, name, a)
	if err != nil {
		return nil, keyErr(err, publicHalf, id)
	}
	return key.SPKI(), nil
}

// readKey reads a public half as a key of this kind.
func (t *Token) readKey(h pkcs11.ObjectHandle, name keys.Algorithm, a algorithm) (*keys.Public, error) {
	if err := t.checkType(h, name, a); err != nil {
		return nil, err
	}
	switch {
	case name == keys.RSA3072:
		return t.rsaKey(h)
	case a.set != 0:
		return t.latticeKey(h, name)
	}
	return t.curveKey(h, name, a)
}

// checkType checks CKA_KEY_TYPE before a key is used: SoftHSM begins to sign with a key of
// any type by any mechanism, and may crash.
func (t *Token) checkType(h pkcs11.ObjectHandle, name keys.Algorithm, a algorithm) error {
	keyType, err := t.number(h, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return err
	}
	if !a.hasType(keyType) {
		return fmt.Errorf("is no %s key: its CKA_KEY_TYPE is 0x%X", name, keyType)
	}
	if a.set == 0 {
		return nil
	}
	// A signature of another parameter set would have another length, at best.
	set, err := t.number(h, ckaParameterSet)
	if err == nil && set != a.set {
		err = fmt.Errorf("is no %s key: its CKA_PARAMETER_SET is %d", name, set)
	}
	return err
}

func (t *Token) rsaKey(h pkcs11.ObjectHandle) (*keys.Public, error) {
	n, err := t.attribute(t.session, h, pkcs11.CKA_MODULUS)
	if err != nil {
		return nil, err
	}
	e, err := t.attribute(t.session, h, pkcs11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, err
	}
	return keys.FromRSA(n, e)
}

func (t *Token) curveKey(h pkcs11.ObjectHandle, name keys.Algorithm, a algorithm) (*keys.Public, error) {
	// The key type alone doesn't tell Ed25519 from X25519 nor P-256 from P-384.
	params, err := t.attribute(t.session, h, pkcs11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	if !a.hasCurve(params) {
		return nil, fmt.Errorf("is no %s key: its CKA_EC_PARAMS are %x", name, params)
	}
	point, err := t.attribute(t.session, h, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return keys.FromPoint(name, point)
}

// latticeKey reads a key of ML-DSA or ML-KEM.
func (t *Token) latticeKey(h pkcs11.ObjectHandle, name keys.Algorithm) (*keys.Public, error) {
	raw, err := t.attribute(t.session, h, pkcs11.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	if name.IsMLKEM() {
		return keys.FromMLKEM(raw)
	}
	return keys.FromMLDSA(name, raw)
}
