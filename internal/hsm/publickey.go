//go:build cgo && unix

package hsm

import (
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// PublicKey reads the one public key with this CKA_ID as a DER
// SubjectPublicKeyInfo that internal/keys admits. It is what the token says;
// only a signature shows that it has the private half.
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
	if err := t.checkType(h, name, a); err != nil {
		return nil, keyErr(err, publicHalf, id)
	}
	var key *keys.Public
	if name == keys.RSA3072 {
		key, err = t.rsaKey(h)
	} else {
		key, err = t.curveKey(h, name, a)
	}
	if err != nil {
		return nil, keyErr(err, publicHalf, id)
	}
	return key.SPKI(), nil
}

// checkType compares CKA_KEY_TYPE before a key is used: SoftHSM begins to sign
// with a key of any type under any mechanism, and newer ones say "to prevent
// crash".
func (t *Token) checkType(h pkcs11.ObjectHandle, name keys.Algorithm, a algorithm) error {
	keyType, err := t.number(h, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return err
	}
	if !a.hasType(keyType) {
		return fmt.Errorf("is no %s key: its CKA_KEY_TYPE is 0x%X", name, keyType)
	}
	return nil
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
