//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Attack tries to take the private key with this CKA_ID out of the token, in
// every way that the user it was made for could: always the same attempts in
// the same order. A token does well that refuses them all; CKR_OK means that
// the key is no longer the token's alone, and that it should be destroyed.
//
// What does come out is overwritten in C's memory before anyone sees it, and a
// copy is destroyed at once. An attempt that says nothing about this key,
// because the token has no such mechanism or no key to wrap with, is Unstaged.
// One that was cut short because the device or the session failed is an error,
// unless another succeeded.
func (t *Token) Attack(id []byte) ([]token.Attempt, error) {
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
	list := []token.Attempt{
		t.tryExport(h, keyType),
		t.tryWrap("wrap-aes-kw", h, false, pkcs11.CKM_AES_KEY_WRAP),
		// Key wrapping with padding has two numbers: RFC 5649's, and an
		// older one that says only "with padding".
		t.tryWrap("wrap-aes-kwp", h, false, ckmAESKeyWrapKWP, pkcs11.CKM_AES_KEY_WRAP_PAD),
		t.tryWrap("wrap-aes-cbc-pad", h, true, pkcs11.CKM_AES_CBC_PAD),
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
			return nil, t.wrap(keyErr(err, privateHalf, id))
		}
		list = append(list, attempt)
	}
	// Last, because they would change what the others find.
	list = append(list,
		t.tryRelax("relax-extractable", h, pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true)),
		t.tryRelax("relax-sensitive", h, pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false)),
	)
	// Success beside a failing device is still success, and the key is lost.
	if slices.ContainsFunc(list, func(a token.Attempt) bool { return rank(a) == succeeded }) {
		return list, nil
	}
	for _, a := range list {
		if lost(a.Code) {
			return nil, t.wrap(keyErr(fmt.Errorf("%s: %w", a.Name, &Error{Call: a.Call, Code: a.Code}), privateHalf, id))
		}
	}
	return list, nil
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
		tries = append(tries, attempt("export", "C_GetAttributeValue", err))
	}
	return worst(tries)
}

// tryWrap makes an AES key for this one attempt, in the session and gone with
// it, and wraps with it by each mechanism.
func (t *Token) tryWrap(name string, h pkcs11.ObjectHandle, withIV bool, mechanisms ...uint) token.Attempt {
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
	if err != nil {
		return token.Attempt{Name: name, Call: "C_GenerateKey", Code: Code(err), Unstaged: true}
	}
	var tries []token.Attempt
	for _, m := range mechanisms {
		err := t.calls.tryWrap(t.session, m, withIV, wrapping, h)
		tries = append(tries, attempt(name, "C_WrapKey", err))
	}
	// Left behind it would die with the session and harm nothing.
	_ = t.destroyObject(t.session, wrapping)
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
	return attempt(name, "C_CopyObject", err), nil
}

func (t *Token) tryRelax(name string, h pkcs11.ObjectHandle, weaker *pkcs11.Attribute) token.Attempt {
	return attempt(name, "C_SetAttributeValue", t.setAttribute(t.session, h, weaker))
}

func attempt(name, call string, err error) token.Attempt {
	if err == nil {
		return token.Attempt{Name: name, Call: call, Code: CodeName(pkcs11.CKR_OK)}
	}
	var e *Error
	if errors.As(err, &e) {
		call = e.Call
	}
	return token.Attempt{Name: name, Call: call, Code: Code(err), Unstaged: unstaged[Code(err)]}
}

// unstaged are the answers that are about the means and not about the key.
var unstaged = map[string]bool{
	"CKR_FUNCTION_NOT_SUPPORTED":         true,
	"CKR_MECHANISM_INVALID":              true,
	"CKR_MECHANISM_PARAM_INVALID":        true,
	"CKR_WRAPPING_KEY_HANDLE_INVALID":    true,
	"CKR_WRAPPING_KEY_SIZE_RANGE":        true,
	"CKR_WRAPPING_KEY_TYPE_INCONSISTENT": true,
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
	case a.Code == CodeName(pkcs11.CKR_OK):
		return succeeded
	case lost(a.Code):
		return 2
	case !a.Unstaged:
		return 1
	}
	return 0
}
