//go:build cgo && unix

package hsm

import (
	"bytes"
	"crypto/mlkem"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Attack tries to take the private key with this CKA_ID out of the token in every way that
// its user could. The attempts and their order depend only on the kind of key. A good
// token refuses all of them. If one ends with CKR_OK, the key may be outside of the token
// too, and should be destroyed.
//
// A key that comes out is overwritten in C's memory before anyone sees it, and a copy is
// destroyed at once. An attempt that could not be made, because the token has no such
// mechanism or no key to wrap with, is Unstaged. If the device or the session fails during
// an attempt, Attack returns an error, unless another attempt succeeded.
func (t *Token) Attack(alg string, id []byte) ([]token.Attempt, error) {
	name, _, err := known(alg)
	if err != nil {
		return nil, err
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	if err := t.needUser(); err != nil {
		return nil, t.wrap(err)
	}
	h, err := t.half(privateHalf, id)
	if err != nil {
		return nil, t.wrap(err)
	}
	keyType, err := t.number(h, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, t.wrap(keyErr(err, privateHalf, id))
	}
	list, err := t.takeOut(h, 0, name, keyType)
	if err != nil {
		return nil, t.wrap(keyErr(err, privateHalf, id))
	}
	// Last, because they would change the results of the others.
	for _, x := range relaxations {
		list = append(list, attempt(x.name, token.CallSet, t.setAttribute(t.session, h, pkcs11.NewAttribute(x.attribute, x.weaker))))
	}
	if err := decided(list); err != nil {
		return nil, t.wrap(keyErr(err, privateHalf, id))
	}
	return list, nil
}

// relaxations are the attempts to make a key weaker, in order.
var relaxations = []struct {
	name      string
	attribute uint
	weaker    bool
}{
	{token.TryRelaxExtractable, pkcs11.CKA_EXTRACTABLE, true},
	{token.TryRelaxSensitive, pkcs11.CKA_SENSITIVE, false},
}

// AttackRelaxed is for a key that [Token.Attack] has just made weaker by the relaxations
// named. It reads the private half's attributes, makes the attempts to export, to wrap and
// to copy the key again, sets the attributes back, and reads them once more.
//
// If the token generates no key to wrap with, AttackRelaxed calls C_WrapKey nevertheless,
// with the pair's own public half: somebody could bring a wrapping key to a token that
// wraps, and a token that lacks the function or the mechanism says so.
func (t *Token) AttackRelaxed(alg string, id []byte, names []string) (token.Relaxed, error) {
	r := token.Relaxed{Names: names}
	name, _, err := known(alg)
	if err != nil {
		return r, err
	}
	if err := t.use(); err != nil {
		return r, err
	}
	defer t.mu.Unlock()
	if err := t.needUser(); err != nil {
		return r, t.wrap(err)
	}
	h, err := t.half(privateHalf, id)
	if err != nil {
		return r, t.wrap(err)
	}
	if err := t.attackRelaxed(h, name, id, &r); err != nil {
		return r, t.wrap(keyErr(err, privateHalf, id))
	}
	return r, nil
}

func (t *Token) attackRelaxed(h pkcs11.ObjectHandle, name keys.Algorithm, id []byte, r *token.Relaxed) error {
	public, err := t.half(publicHalf, id)
	if err != nil {
		return err
	}
	keyType, err := t.number(h, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return err
	}
	if r.While, err = t.readings(privateHalf, id, privateReadings); err != nil {
		return err
	}
	if r.Attempts, err = t.takeOut(h, public, name, keyType); err != nil {
		return err
	}
	for _, x := range relaxations {
		if slices.Contains(r.Names, x.name) {
			back := t.setAttribute(t.session, h, pkcs11.NewAttribute(x.attribute, !x.weaker))
			r.Restored = append(r.Restored, attempt(x.name, token.CallSet, back))
		}
	}
	if err := decided(slices.Concat(r.Attempts, r.Restored)); err != nil {
		return err
	}
	r.After, err = t.readings(privateHalf, id, privateReadings)
	return err
}

// takeOut makes the attempts that don't change the key. If the token can't generate a key
// to wrap with, instead is used for that, unless it is 0.
func (t *Token) takeOut(h, instead pkcs11.ObjectHandle, name keys.Algorithm, keyType uint) ([]token.Attempt, error) {
	list := []token.Attempt{
		t.tryExport(h, keyType),
		t.tryWrap("wrap-aes-kw", h, instead, false, pkcs11.CKM_AES_KEY_WRAP),
		// Key wrapping with padding has two numbers: RFC 5649's, and an
		// older one that says only "with padding".
		t.tryWrap("wrap-aes-kwp", h, instead, false, ckmAESKeyWrapKWP, pkcs11.CKM_AES_KEY_WRAP_PAD),
		t.tryWrap("wrap-aes-cbc-pad", h, instead, true, pkcs11.CKM_AES_CBC_PAD),
	}
	for _, c := range []struct {
		name      string
		attribute *pkcs11.Attribute
	}{
		{"copy-extractable", pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true)},
		{"copy-insensitive", pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false)},
	} {
		attempt, err := t.tryCopy(c.name, h, c.attribute)
		if err != nil {
			return nil, err
		}
		list = append(list, attempt)
	}
	if name.Use() != keys.Agree {
		return list, nil
	}
	invalid, err := t.tryInvalidPoint(h, name)
	return append(list, t.trySign(h, name), invalid), err
}

// trySign asks for a signature by a key that agrees, with each mechanism of its curve, of
// ML-KEM with that of ML-DSA.
// Modules refuse at C_SignInit or at C_Sign.
func (t *Token) trySign(h pkcs11.ObjectHandle, name keys.Algorithm) token.Attempt {
	mechanisms := []uint{pkcs11.CKM_ECDSA}
	switch name {
	case keys.X25519:
		mechanisms = []uint{ckmEDDSA, ckmXEDDSA, pkcs11.CKM_ECDSA}
	case keys.MLKEM768:
		mechanisms = []uint{ckmMLDSA}
	}
	var tries []token.Attempt
	for _, m := range mechanisms {
		sig, err := t.sign(t.session, pkcs11.NewMechanism(m, nil), h, make([]byte, 32), 256)
		clear(sig)
		tries = append(tries, attempt(token.TrySign, token.CallSignInit, err))
	}
	return worst(tries)
}

// invalidPoints are peers that a key must refuse to agree with: for P-256 a point that is
// not on the curve, since secrets with such points reveal the key piece by piece; for
// X25519 a point of low order, with which every secret is zero; for ML-KEM a ciphertext that
// is cut (FIPS 203, section 7.3).
var invalidPoints = map[keys.Algorithm][]byte{
	keys.ECDHP256: append([]byte{4}, bytes.Repeat([]byte{1}, 64)...),
	keys.X25519:   make([]byte, 32),
	keys.MLKEM768: make([]byte, mlkem.CiphertextSize768-1),
}

// callOf is the function by which a key agrees.
func callOf(a algorithm) string {
	if a.opens != 0 {
		return token.CallDecapsulate
	}
	return token.CallDerive
}

// tryInvalidPoint asks a key to agree with an invalid point. It destroys the secret, if
// there is one, without reading it.
func (t *Token) tryInvalidPoint(h pkcs11.ObjectHandle, name keys.Algorithm) (token.Attempt, error) {
	try, a := token.TryAgreeInvalid, algorithms[name]
	if name.IsMLKEM() {
		try = token.TryDecapsulateInvalid
	}
	o, err := t.secretObject(t.session, a, h, invalidPoints[name])
	if err == nil {
		if err := t.destroyObject(t.session, o); err != nil {
			return token.Attempt{}, fmt.Errorf("%s gave a secret that can't be destroyed; close the session: %w", try, err)
		}
	}
	return attempt(try, callOf(a), err), nil
}

// decided demands that the token answered every attempt, unless one succeeded: then it
// doesn't matter that the device failed at another.
func decided(list []token.Attempt) error {
	if slices.ContainsFunc(list, func(a token.Attempt) bool { return rank(a) == succeeded }) {
		return nil
	}
	for _, a := range list {
		// Some tokens report CKR_DEVICE_ERROR for an invalid peer. The agreement that
		// follows shows that the token works.
		invalid := a.Name == token.TryAgreeInvalid || a.Name == token.TryDecapsulateInvalid
		if lost(a.Code) && !(invalid && a.Code == "CKR_DEVICE_ERROR") {
			return fmt.Errorf("%s: %w", a.Name, &Error{Call: a.Call, Code: a.Code})
		}
	}
	return nil
}

// tryExport asks for the private value, for an RSA key for each secret part and for one of
// ML-DSA or ML-KEM for the seed too, since each reveals the others.
func (t *Token) tryExport(h pkcs11.ObjectHandle, keyType uint) token.Attempt {
	secret := []uint{pkcs11.CKA_VALUE}
	if keyType == pkcs11.CKK_RSA {
		secret = []uint{
			pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2,
			pkcs11.CKA_EXPONENT_1, pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT,
		}
	}
	if keyType == ckkMLDSA || keyType == ckkMLKEM {
		secret = append(secret, ckaSeed)
	}
	var tries []token.Attempt
	for _, typ := range secret {
		err := t.calls.tryExport(t.session, h, typ)
		tries = append(tries, attempt("export", token.CallGet, err))
	}
	return worst(tries)
}

// tryWrap generates an AES session key for this attempt, and wraps the key with it by each
// mechanism.
func (t *Token) tryWrap(name string, h, instead pkcs11.ObjectHandle, withIV bool, mechanisms ...uint) token.Attempt {
	wrapping, err := t.generateKey(t.session, pkcs11.CKM_AES_KEY_GEN, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, true),
	})
	switch {
	case err == nil:
		// If this fails, the key ends with the session.
		defer func() { _ = t.destroyObject(t.session, wrapping) }()
	case instead == 0 || lost(Code(err)):
		return token.Attempt{Name: name, Call: token.CallGenerate, Code: Code(err), Unstaged: true}
	default:
		wrapping = instead
	}
	var tries []token.Attempt
	for _, m := range mechanisms {
		err := t.calls.tryWrap(t.session, m, withIV, wrapping, h)
		tries = append(tries, attempt(name, token.CallWrap, err))
	}
	return worst(tries)
}

// tryCopy asks for a copy with weaker attributes, as a session object. If the copy can't be
// destroyed, it returns an error.
func (t *Token) tryCopy(name string, h pkcs11.ObjectHandle, weaker *pkcs11.Attribute) (token.Attempt, error) {
	dup, err := t.copyObject(t.session, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), weaker})
	if err == nil {
		if err := t.destroyObject(t.session, dup); err != nil {
			return token.Attempt{}, fmt.Errorf("%s gave a copy that can't be destroyed; close the session: %w", name, err)
		}
	}
	return attempt(name, token.CallCopy, err), nil
}

func attempt(name, call string, err error) token.Attempt {
	if err == nil {
		return token.Attempt{Name: name, Call: call, Code: token.CodeName(pkcs11.CKR_OK)}
	}
	var e *Error
	if errors.As(err, &e) {
		call = e.Call
	}
	return token.Attempt{Name: name, Call: call, Code: Code(err), Unstaged: call == token.CallWrap && slices.Contains(token.UnstagedWrap, Code(err))}
}

// worst picks, of several tries of an attempt, the one that is worst for the token: one
// that succeeded, else one at which the device failed, else one that was refused, else one
// that couldn't be made.
func worst(tries []token.Attempt) token.Attempt {
	out := tries[0]
	for _, a := range tries[1:] {
		if rank(a) > rank(out) {
			out = a
		}
	}
	return out
}

const succeeded = 3

func rank(a token.Attempt) int {
	switch {
	case a.Code == token.CodeName(pkcs11.CKR_OK):
		return succeeded
	case lost(a.Code):
		return 2
	case !a.Unstaged:
		return 1
	}
	return 0
}
