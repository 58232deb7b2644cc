//go:build cgo && unix

package hsm

import (
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Login logs the user in. The caller wipes the PIN; nil is for a token with its own
// keypad. Each call makes at most one try, and first asks the token whether tries are left.
//
// For a locked token it returns [ErrPINLocked], for one with a single try left
// [ErrPINFinalTry]: see [Token.LoginFinal]. [ErrAlreadyLoggedIn] says nothing about the
// PIN: tokens return it for a wrong one too.
func (t *Token) Login(pin []byte) error { return t.loginUser(pin, false) }

// LoginFinal is Login even when a wrong PIN would lock the token.
func (t *Token) LoginFinal(pin []byte) error { return t.loginUser(pin, true) }

func (t *Token) loginUser(pin []byte, final bool) error {
	if err := t.use(); err != nil {
		return err
	}
	defer t.mu.Unlock()
	state, err := t.sessionState(t.session)
	if err != nil {
		return t.wrap(err)
	}
	if state == pkcs11.CKS_RO_USER_FUNCTIONS || state == pkcs11.CKS_RW_USER_FUNCTIONS {
		return t.wrap(fmt.Errorf("%w, so the PIN was not checked: log out first", ErrAlreadyLoggedIn))
	}
	v, err := t.look()
	if err != nil {
		return t.wrap(err)
	}
	switch {
	case v.PINLocked:
		return t.wrap(fmt.Errorf("%w: its security officer has to set a new one", ErrPINLocked))
	case v.PINFinalTry && !final:
		return t.wrap(fmt.Errorf("%w: find out what the PIN is before it is tried again", ErrPINFinalTry))
	case len(pin) == 0 && !v.ProtectedPIN:
		return t.wrap(fmt.Errorf("%w: it is empty, and the token has no keypad to ask for it; %w", ErrPINLength, token.ErrNotTried))
	}
	if err := v.checkPIN(pin); err != nil {
		return t.wrap(err)
	}
	return t.wrap(t.login(t.session, pkcs11.CKU_USER, pin))
}

// checkPIN refuses a PIN of a length that the token doesn't accept, before a try is
// wasted. Tokens without limits report zeros or ones.
func (v view) checkPIN(pin []byte) error {
	n := uint(len(pin))
	if n == 0 && v.ProtectedPIN {
		return nil
	}
	if v.maxPIN != 0 && v.maxPIN >= v.minPIN && (n < v.minPIN || n > v.maxPIN) {
		return fmt.Errorf("%w: it has %d bytes, the token takes %d to %d; %w", ErrPINLength, n, v.minPIN, v.maxPIN, token.ErrNotTried)
	}
	return nil
}

// Logout logs the user out, in every session of this process with the token.
func (t *Token) Logout() error {
	if err := t.use(); err != nil {
		return err
	}
	defer t.mu.Unlock()
	return t.wrap(t.logout(t.session))
}
