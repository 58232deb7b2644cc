//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// InitToken gives a token a label, a security officer's PIN and a user's PIN, and returns
// what it reports afterwards. Its serial number may be new.
//
// InitToken refuses a token that is initialised already, unless in.EraseSerial is its
// serial number; then everything on it is destroyed. It refuses to choose between several
// different blank tokens, and a label that another token of the module has.
func (m *Module) InitToken(in Init) (token.Info, error) {
	if in.Label == "" {
		return token.Info{}, errors.New("a token needs a label")
	}
	if err := token.CheckField(in.Label, 32); err != nil {
		return token.Info{}, fmt.Errorf("label: %w", err)
	}
	done, err := m.open()
	if err != nil {
		return token.Info{}, err
	}
	defer done()
	views, err := m.views()
	if err != nil {
		return token.Info{}, err
	}
	v, err := blank(views, in)
	if err != nil {
		return token.Info{}, err
	}
	for _, other := range views {
		if other.Slot != v.Slot && other.Initialized && other.Label == in.Label {
			return token.Info{}, fmt.Errorf("%s has this label: choose another, so that a label names one token", describe(other.Info))
		}
	}
	for _, p := range []struct {
		whose string
		pin   []byte
	}{{"security officer's", in.SOPIN}, {"user's", in.UserPIN}} {
		if err := v.checkPIN(p.pin); err != nil {
			return token.Info{}, fmt.Errorf("%s: the %s PIN: %w", describe(v.Info), p.whose, err)
		}
	}
	return m.initialise(v, in)
}

// blank picks the token to initialise.
func blank(views []view, in Init) (view, error) {
	if in.EraseSerial != "" {
		sel := in.Selector
		if sel.Serial == "" {
			sel.Serial = in.EraseSerial
		}
		v, err := one(views, sel)
		if err == nil && v.Serial != in.EraseSerial {
			err = fmt.Errorf("%w: %s was chosen, but serial %q is to be erased", ErrNoToken, describe(v.Info), in.EraseSerial)
		}
		return v, err
	}
	var free, used []view
	for _, v := range views {
		switch {
		case !in.Selector.matches(v.Info):
		case v.Initialized:
			used = append(used, v)
		default:
			free = append(free, v)
		}
	}
	if len(free) == 0 {
		if len(used) > 0 && in.Selector != (Selector{}) {
			return view{}, fmt.Errorf("%w: %s; to destroy all that is on it and begin anew, name its serial number as the one to erase", ErrInitialized, describeAll(used))
		}
		return view{}, fmt.Errorf("%w: none is uninitialised; the module shows %s", ErrNoToken, describeAll(views))
	}
	for _, v := range free[1:] {
		if v.Serial != free[0].Serial || v.Model != free[0].Model || v.Manufacturer != free[0].Manufacturer {
			return view{}, fmt.Errorf("%w: uninitialised are %s; name one by its serial number", ErrManyTokens, describeAll(free))
		}
	}
	return free[0], nil // the others look the same
}

func (m *Module) initialise(v view, in Init) (token.Info, error) {
	var label [32]byte
	copy(label[:], in.Label+strings.Repeat(" ", len(label)))
	if err := m.initToken(v.Slot, in.SOPIN, label); err != nil {
		if Code(err) == "CKR_SESSION_EXISTS" {
			err = fmt.Errorf("%w: a session with it is open; close it first", err)
		}
		return token.Info{}, fmt.Errorf("%s: %w", describe(v.Info), err)
	}
	// Slot and serial number may have changed; the label is unique here.
	fresh, err := m.labelled(in.Label)
	if err != nil {
		return token.Info{}, fmt.Errorf("the token was initialised and can't be found again: %w", err)
	}
	if err := m.setUserPIN(fresh, in); err != nil {
		return token.Info{}, fmt.Errorf("%s was initialised, but its user has no PIN (to begin anew, name its serial number as the one to erase): %w", describe(fresh.Info), err)
	}
	fresh, err = m.labelled(in.Label)
	if err != nil {
		return token.Info{}, fmt.Errorf("the token was initialised and can't be found again: %w", err)
	}
	if !fresh.userPIN {
		return token.Info{}, fmt.Errorf("%s says that its user has no PIN, though it was set", describe(fresh.Info))
	}
	return fresh.Info, nil
}

func (m *Module) labelled(label string) (view, error) {
	views, err := m.views()
	if err != nil {
		return view{}, err
	}
	return one(views, Selector{Label: label})
}

func (m *Module) setUserPIN(v view, in Init) (err error) {
	h, err := m.openSession(v.Slot)
	if err != nil {
		return err
	}
	// Closing the only session logs the officer out too.
	defer func() { err = errors.Join(err, m.closeSession(h)) }()
	if err := m.login(h, pkcs11.CKU_SO, in.SOPIN); err != nil {
		return err
	}
	if err := m.initPIN(h, in.UserPIN); err != nil {
		return err
	}
	return m.logout(h)
}
