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
