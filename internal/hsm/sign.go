//go:build cgo && unix

package hsm

import (
	"crypto/sha256"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Sign signs message with the one private key that has this CKA_ID, in the
// form that internal/keys verifies: Ed25519 in 64 bytes, ECDSA over SHA-256 or
// SHA-384 in DER with low S, RSA-PSS with SHA-256 and a salt of 32 bytes.
//
// Hashing is done here and CKM_ECDSA used throughout, since few tokens have
// the mechanisms that hash. The signature is as the token gave it: callers
// verify it, for there are tokens that ignore parameters and say nothing.
func (t *Token) Sign(alg string, id, message []byte) ([]byte, error) {
	name, a, err := known(alg)
	if err != nil {
		return nil, err
	}
	if a.sign == 0 {
		return nil, fmt.Errorf("%s keys can't sign", name)
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	sig, err := t.signWith(name, a, id, message)
	return sig, t.wrap(err)
}

func (t *Token) signWith(name keys.Algorithm, a algorithm, id, message []byte) ([]byte, error) {
	// Looked up each time: handles die with a logout, and a second key with
	// the same ID may have come since.
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
	raw, err := t.sign(t.session, mech, h, data, a.sigBytes)
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
