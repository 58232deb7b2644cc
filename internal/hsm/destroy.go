//go:build cgo && unix

package hsm

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// DestroyPair destroys the key pair with exactly this CKA_ID and this public key, the
// private half first, and then looks for it: by CKA_ID, by reading every key of both
// classes, by the public key's own attribute, and by using the private half's old handle.
// What it finds is in the answer, and no error: the caller judges it. It reports what an
// interrupted call has left too, a public half or nothing.
//
// If the public half has another public key, or a private half has none beside it, it
// destroys nothing. If the token refuses to destroy a half, that is an error.
func (t *Token) DestroyPair(alg string, id, spki []byte) (token.Destroyed, error) {
	name, a, err := known(alg)
	if err != nil {
		return token.Destroyed{}, err
	}
	if err := t.use(); err != nil {
		return token.Destroyed{}, err
	}
	defer t.mu.Unlock()
	if err := t.needUser(); err != nil {
		return token.Destroyed{}, t.wrap(err)
	}
	d, err := t.destroyPair(name, a, id, spki)
	return d, t.wrap(err)
}

func (t *Token) destroyPair(name keys.Algorithm, a algorithm, id, spki []byte) (d token.Destroyed, err error) {
	// What could not be looked for afterwards is not destroyed.
	if _, _, err := storedForms(name, spki); err != nil {
		return d, err
	}
	found := map[string]pkcs11.ObjectHandle{}
	for _, half := range []string{privateHalf, publicHalf} {
		list, err := t.halves(half, id)
		switch {
		case err != nil:
			return d, err
		case len(list) > 1:
			return d, keyErr(ErrManyKeys, half, id)
		case len(list) == 1:
			d.Held, found[half] = append(d.Held, half), list[0]
		}
	}
	if _, public := found[publicHalf]; public {
		is, err := t.publicKey(name, a, id)
		if err != nil {
			return d, err
		}
		if !bytes.Equal(is, spki) {
			return d, keyErr(errors.New("has another public key than the one that is to be destroyed: nothing was destroyed"), publicHalf, id)
		}
	} else if len(d.Held) > 0 {
		return d, keyErr(errors.New("has no public half beside it, so that nothing shows which key it is: nothing was destroyed, and a person has to look at it"), privateHalf, id)
	}
	for _, half := range d.Held {
		x := attempt(token.TryDestroy+half, token.CallDestroy, t.destroyObject(t.session, found[half]))
		if x.Code != token.CodeName(pkcs11.CKR_OK) {
			return d, keyErr(fmt.Errorf("was not destroyed: %w", &Error{Call: x.Call, Code: x.Code}), half, id)
		}
		d.Attempts = append(d.Attempts, x)
	}
	if old, ok := found[privateHalf]; ok {
		x := t.useOld(name, a, old)
		if x.Code == "" {
			return d, keyErr(errors.New("was destroyed, and whether its old handle still works could not be asked"), privateHalf, id)
		}
		d.Attempts = append(d.Attempts, x)
	}
	d.Found, err = t.searchFor(name, a, id, spki)
	return d, err
}

// useOld uses the handle of a private key that was destroyed.
func (t *Token) useOld(name keys.Algorithm, a algorithm, old pkcs11.ObjectHandle) token.Attempt {
	if a.sign == 0 {
		o, err := t.secretObject(t.session, a, old, validPoints[name])
		if err == nil {
			_ = t.destroyObject(t.session, o) // it ends with the session anyway
		}
		return attempt(token.TryUse, callOf(a), err)
	}
	data := make([]byte, 32)
	var sig []byte
	var err error
	switch {
	case a.set != 0:
		sig, err = t.signFor(t.session, a.sign, keys.ForTest, old, data, a.sigBytes)
	case name == keys.RSA3072:
		sig, err = t.sign(t.session, pkcs11.NewMechanism(a.sign, pssParameters), old, data, a.sigBytes)
	default:
		sig, err = t.sign(t.session, pkcs11.NewMechanism(a.sign, nil), old, data, a.sigBytes)
	}
	clear(sig)
	return attempt(token.TryUse, token.CallSign, err)
}

// validPoints are peers with which every key agrees: the curves' base points, and of ML-KEM
// any ciphertext of the right length.
var validPoints = map[keys.Algorithm][]byte{
	keys.MLKEM768: make([]byte, mlkem.CiphertextSize768),
	keys.X25519:   append([]byte{9}, make([]byte, 31)...),
	keys.ECDHP256: {
		0x04,
		0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
		0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
		0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
		0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
	},
}

// searchFor counts what three searches find of a key: by CKA_ID, by reading every private
// and public key, and by each value that a module may keep for the public key.
func (t *Token) searchFor(name keys.Algorithm, a algorithm, id, spki []byte) ([]int, error) {
	byID := 0
	for _, half := range []string{privateHalf, publicHalf} {
		list, err := t.halves(half, id)
		if err != nil {
			return nil, err
		}
		byID += len(list)
	}
	byClass, err := t.searchClasses(name, a, id, spki)
	if err != nil {
		return nil, err
	}
	byKey, err := t.searchKey(name, spki)
	return []int{byID, byClass, byKey}, err
}

// searchClasses reads every key of both classes, whatever a search by value says.
func (t *Token) searchClasses(name keys.Algorithm, a algorithm, id, spki []byte) (n int, err error) {
	for _, half := range []string{privateHalf, publicHalf} {
		list, err := t.find(t.session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, classes[half])})
		if err != nil {
			return 0, err
		}
		for _, h := range list {
			is, err := t.optional(h, pkcs11.CKA_ID)
			if err != nil {
				return 0, err
			}
			if bytes.Equal(is, id) || half == publicHalf && t.hasKey(h, name, a, spki) {
				n++
			}
		}
	}
	return n, nil
}

// hasKey says whether a public key on the token is this one. Of one that can't be read as
// a key of this kind it says no: it is of another.
func (t *Token) hasKey(h pkcs11.ObjectHandle, name keys.Algorithm, a algorithm, spki []byte) bool {
	k, err := t.readKey(h, name, a)
	return err == nil && bytes.Equal(k.SPKI(), spki)
}

// searchKey searches for the public key's own attribute, on objects of every class:
// CKA_MODULUS, CKA_EC_POINT in each form that modules have it in, or the CKA_VALUE of ML-DSA and ML-KEM.
func (t *Token) searchKey(name keys.Algorithm, spki []byte) (n int, err error) {
	typ, forms, err := storedForms(name, spki)
	if err != nil {
		return 0, err
	}
	for _, value := range forms {
		list, err := t.find(t.session, []*pkcs11.Attribute{pkcs11.NewAttribute(typ, value)})
		if err != nil {
			return 0, err
		}
		for _, h := range list {
			// Some modules' search isn't exact.
			if is, err := t.optional(h, typ); err != nil {
				return 0, err
			} else if bytes.Equal(is, value) {
				n++
			}
		}
	}
	return n, nil
}

// storedForms are the values of CKA_MODULUS, CKA_EC_POINT or CKA_VALUE by which modules
// keep a public key: of a point as it is, and as an OCTET STRING or a BIT STRING.
func storedForms(name keys.Algorithm, spki []byte) (typ uint, forms [][]byte, err error) {
	p, err := keys.ParseAs(name, spki)
	if err != nil {
		return 0, nil, err
	}
	if name.IsMLDSA() || name.IsMLKEM() {
		return pkcs11.CKA_VALUE, [][]byte{p.Raw()}, nil
	}
	if name == keys.RSA3072 {
		k, err := x509.ParsePKIXPublicKey(spki)
		if rsa, ok := k.(*rsa.PublicKey); ok {
			return pkcs11.CKA_MODULUS, [][]byte{rsa.N.Bytes()}, nil
		}
		return 0, nil, errors.Join(errors.New("is no RSA key"), err)
	}
	size := map[keys.Algorithm]int{keys.Ed25519: 32, keys.X25519: 32, keys.P256: 65, keys.ECDHP256: 65, keys.P384: 97}[name]
	if size == 0 {
		return 0, nil, fmt.Errorf("no form is known in which modules keep keys of kind %s", name)
	}
	point := spki[len(spki)-size:]
	return pkcs11.CKA_EC_POINT, [][]byte{
		point,
		append([]byte{0x04, byte(size)}, point...),
		append([]byte{0x03, byte(size + 1), 0}, point...),
	}, nil
}
