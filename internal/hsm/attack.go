//go:build cgo && unix

package hsm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Attack tries to take the private key with this CKA_ID out of the token, in
// every way that the user it was made for could: always the same attempts in
// the same order by the kind of key. A token does well that refuses them all; CKR_OK means that
// the key is no longer the token's alone, and that it should be destroyed.
//
// What does come out is overwritten in C's memory before anyone sees it, and a
// copy is destroyed at once. An attempt that says nothing about this key,
// because the token has no such mechanism or no key to wrap with, is Unstaged.
// One that was cut short because the device or the session failed is an error,
// unless another succeeded.
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
	// Last, because they would change what the others find.
	for _, x := range relaxations {
		list = append(list, attempt(x.name, token.CallSet, t.setAttribute(t.session, h, pkcs11.NewAttribute(x.attribute, x.weaker))))
	}
	if err := decided(list); err != nil {
		return nil, t.wrap(keyErr(err, privateHalf, id))
	}
	return list, nil
}

// relaxations are the attempts to make a key weaker, in their order.
var relaxations = []struct {
	name      string
	attribute uint
	weaker    bool
}{
	{token.TryRelaxExtractable, pkcs11.CKA_EXTRACTABLE, true},
	{token.TryRelaxSensitive, pkcs11.CKA_SENSITIVE, false},
}

// AttackRelaxed is for a key of which [Token.Attack] has just succeeded in the
// relaxations named. It reads the private half as it is now, makes the attempts
// to export, to wrap and to copy it again, sets back what was set, and reads the
// half once more.
//
// Where the token makes no key to wrap with, C_WrapKey is called all the same,
// with the pair's own public half: a token that wraps could be brought a key by
// other means, one that lacks the function or the mechanism says so.
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

// takeOut makes the attempts that would leave the key as it is. instead wraps
// where the token can make no key to wrap with, unless it is 0.
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

// trySign asks for a signature by a key that agrees, by each mechanism that its
// curve has. Modules refuse when they are asked to begin, or at the end.
func (t *Token) trySign(h pkcs11.ObjectHandle, name keys.Algorithm) token.Attempt {
	mechanisms := []uint{pkcs11.CKM_ECDSA}
	if name == keys.X25519 {
		mechanisms = []uint{ckmEDDSA, ckmXEDDSA, pkcs11.CKM_ECDSA}
	}
	var tries []token.Attempt
	for _, m := range mechanisms {
		sig, err := t.sign(t.session, pkcs11.NewMechanism(m, nil), h, make([]byte, 32), 256)
		clear(sig)
		tries = append(tries, attempt(token.TrySign, token.CallSignInit, err))
	}
	return worst(tries)
}

// invalidPoints are peers that no key may agree with: of P-256 a point that isn't on
// the curve, whose secrets tell the key piece by piece; of X25519 one of low order,
// with which the secret is all zero for everybody.
var invalidPoints = map[keys.Algorithm][]byte{
	keys.ECDHP256: append([]byte{4}, bytes.Repeat([]byte{1}, 64)...),
	keys.X25519:   make([]byte, 32),
}

// tryInvalidPoint has a key agree with one. What comes of it is destroyed unread.
func (t *Token) tryInvalidPoint(h pkcs11.ObjectHandle, name keys.Algorithm) (token.Attempt, error) {
	o, err := t.deriveObject(t.session, algorithms[name].derive, h, invalidPoints[name])
	if err == nil {
		if err := t.destroyObject(t.session, o); err != nil {
			return token.Attempt{}, fmt.Errorf("%s gave a secret that can't be destroyed; close the session: %w", token.TryAgreeInvalid, err)
		}
	}
	return attempt(token.TryAgreeInvalid, token.CallDerive, err), nil
}

// decided demands that the token answered each attempt. Success beside a failing
// device is still success, and the key is lost.
func decided(list []token.Attempt) error {
	if slices.ContainsFunc(list, func(a token.Attempt) bool { return rank(a) == succeeded }) {
		return nil
	}
	for _, a := range list {
		// A token that calls its refusal of a point a failure shows by the agreement
		// that follows that it works.
		if lost(a.Code) && !(a.Name == token.TryAgreeInvalid && a.Code == "CKR_DEVICE_ERROR") {
			return fmt.Errorf("%s: %w", a.Name, &Error{Call: a.Call, Code: a.Code})
		}
	}
	return nil
}

// tryExport asks for the private value. Of an RSA key each secret part gives
// away the rest.
func (t *Token) tryExport(h pkcs11.ObjectHandle, keyType uint) token.Attempt {
	secret := []uint{pkcs11.CKA_VALUE}
	if keyType == pkcs11.CKK_RSA {
		secret = []uint{
			pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2,
			pkcs11.CKA_EXPONENT_1, pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT,
		}
	}
	var tries []token.Attempt
	for _, typ := range secret {
		err := t.calls.tryExport(t.session, h, typ)
		tries = append(tries, attempt("export", token.CallGet, err))
	}
	return worst(tries)
}

// tryWrap makes an AES key for this one attempt, in the session and gone with
// it, and wraps with it by each mechanism.
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
		// Left behind it would die with the session and harm nothing.
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

// tryCopy asks for a copy with weaker attributes, in the session alone. A copy
// that can't be destroyed is an error: the key is then in two places.
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

// worst picks, of several tries at the same thing, the one that says most
// against the token: success, else a device that failed, of which nobody knows
// what it did, else a refusal, else one that couldn't be made.
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
