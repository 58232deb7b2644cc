//go:build cgo && unix

package hsm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Token is one session with one token. The package comment says how goroutines share it,
// and that all sessions share the login.
type Token struct {
	calls
	session pkcs11.SessionHandle
	opened  token.Info // what the token reported when the session was opened

	mu     sync.Mutex
	closed bool
}

// use begins a method: it locks mu. Two threads in one session crash SoftHSM, and with it
// the whole process.
func (t *Token) use() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return fmt.Errorf("%s %w", describe(t.opened), ErrClosed)
	}
	return nil
}

// wrap says which token an error is about.
func (t *Token) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", describe(t.opened), err)
}

// Info reads the token's data again; its flags change with every wrong PIN.
func (t *Token) Info() (token.Info, error) {
	if err := t.use(); err != nil {
		return token.Info{}, err
	}
	defer t.mu.Unlock()
	v, err := t.look()
	return v.Info, t.wrap(err)
}

func (t *Token) look() (view, error) {
	v, err := t.view(t.opened.Slot)
	if err == nil && (v.Serial != t.opened.Serial || v.Label != t.opened.Label) {
		return view{}, fmt.Errorf("in its slot there is now %s: open the token again", describe(v.Info))
	}
	return v, err
}

// Close ends the session. Closing the token's last session logs the user out.
func (t *Token) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	return t.wrap(errors.Join(t.closeSession(t.session), t.release()))
}

// needUser fails if private objects can't be seen: without a login a token hides them, as
// if there were none.
func (t *Token) needUser() error {
	state, err := t.sessionState(t.session)
	if err != nil {
		return err
	}
	if state == pkcs11.CKS_RO_USER_FUNCTIONS || state == pkcs11.CKS_RW_USER_FUNCTIONS {
		return nil
	}
	v, err := t.look()
	if err != nil {
		return err
	}
	if v.LoginRequired {
		return fmt.Errorf("%w: its private objects can't be seen", ErrNotLoggedIn)
	}
	return nil
}

// Mechanisms are all mechanisms that the token offers, in the order of their numbers.
func (t *Token) Mechanisms() ([]token.Mechanism, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	all, err := t.mechanisms(t.opened.Slot)
	if err != nil {
		return nil, t.wrap(err)
	}
	slices.SortFunc(all, func(a, b *pkcs11.Mechanism) int { return cmp.Compare(a.Mechanism, b.Mechanism) })
	list := make([]token.Mechanism, len(all))
	for i, m := range all {
		info, err := t.mechanismInfo(t.opened.Slot, m.Mechanism)
		if err != nil {
			return nil, t.wrap(fmt.Errorf("%s: %w", mechanismName(m.Mechanism), err))
		}
		list[i] = token.Mechanism{
			Name:     mechanismName(m.Mechanism),
			MinKey:   info.MinKeySize,
			MaxKey:   info.MaxKeySize,
			Generate: info.Flags&(pkcs11.CKF_GENERATE|pkcs11.CKF_GENERATE_KEY_PAIR) != 0,
			Sign:     info.Flags&pkcs11.CKF_SIGN != 0,
			Derive:   info.Flags&pkcs11.CKF_DERIVE != 0,
			Wrap:     info.Flags&pkcs11.CKF_WRAP != 0,
		}
	}
	return list, nil
}

// Random returns n bytes from the token's random number generator.
func (t *Token) Random(n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("%d random bytes can't be had", n)
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	const chunk = 1024 // NSS refuses a megabyte at once
	out := make([]byte, 0, n)
	for len(out) < n {
		some, err := t.random(t.session, min(chunk, n-len(out)))
		if err != nil {
			return nil, t.wrap(err)
		}
		out = append(out, some...)
	}
	return out, nil
}

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
