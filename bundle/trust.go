package bundle

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ErrTrust is the error of a Trust that no bundle can be judged by. The bundle
// may be fine; what is pinned is not.
var ErrTrust = errors.New("what is pinned can't be used")

// Trust is what a verifier pins. It never travels with the bundle it judges.
type Trust struct {
	Mode         string // Production or Rehearsal: the only kind of bundle taken
	Namespace    string
	ThirdParties []ThirdParty
	Needed       int // different third parties that must sign, from 1
	Operators    []Operator
}

// ThirdParty is a key of a pinned signer of statements. Keys with one name are
// one party's, such as an old key and its successor: they count once.
type ThirdParty struct {
	Name   string
	Key    [32]byte // raw Ed25519 key
	Window keys.Window
}

// Operator is a pinned countersigner; one of them must countersign.
type Operator struct {
	Name   string
	Key    *keys.Public
	Form   string // FormBound or FormSignature: the only form taken of this key
	Window keys.Window
}

// Check says whether the trust can be used; the error is an ErrTrust. Verify
// checks it again, all but the admission of keys.
func (t *Trust) Check() error {
	if err := t.usable(); err != nil {
		return err
	}
	for _, p := range t.ThirdParties {
		if err := keys.AdmitEd25519(p.Key[:]); err != nil {
			return fmt.Errorf("%w: the key of third party %s %w", ErrTrust, p.Name, err)
		}
	}
	return nil
}

// usable refuses what would let a bundle pass with less than it seems: a
// demand for nothing, or one key that counts as two signers.
func (t *Trust) usable() error {
	if t == nil {
		return fmt.Errorf("%w: nothing is pinned", ErrTrust)
	}
	if t.Mode != Production && t.Mode != Rehearsal {
		return fmt.Errorf("%w: the mode is %q; %s and %s are allowed", ErrTrust, t.Mode, Production, Rehearsal)
	}
	if err := strict.CheckToken(t.Namespace); err != nil {
		return fmt.Errorf("%w: the namespace %w", ErrTrust, err)
	}
	if n := len(t.Parties()); t.Needed < 1 || t.Needed > n {
		return fmt.Errorf("%w: %d third parties must sign of %d that are pinned", ErrTrust, t.Needed, n)
	}
	if len(t.Operators) == 0 {
		return fmt.Errorf("%w: no operator's key is pinned", ErrTrust)
	}
	named, pinned := map[string]bool{}, map[string]string{}
	once := func(name, key string) error {
		if other, twice := pinned[key]; twice {
			return fmt.Errorf("%w: %s and %s have the same key", ErrTrust, other, name)
		}
		pinned[key] = name
		return nil
	}
	for _, p := range t.ThirdParties {
		named[p.Name] = true
		if err := once(p.Name, string(p.Key[:])); err != nil {
			return err
		}
	}
	for _, o := range t.Operators {
		switch {
		case named[o.Name]:
			return fmt.Errorf("%w: the name %q is pinned twice", ErrTrust, o.Name)
		case o.Key == nil || !o.Key.Algorithm().CanSign():
			return fmt.Errorf("%w: operator %s has no key that can sign", ErrTrust, o.Name)
		case o.Form != FormBound && o.Form != FormSignature:
			return fmt.Errorf("%w: operator %s is pinned with form %q; %s and %s are allowed", ErrTrust, o.Name, o.Form, FormBound, FormSignature)
		}
		key := string(o.Key.SPKI())
		if raw, ok := o.Key.Ed25519(); ok {
			key = string(raw) // an operator with a third party's key is the same signer
		}
		named[o.Name] = true
		if err := once(o.Name, key); err != nil {
			return err
		}
	}
	return nil
}

// Parties are the pinned third parties' names, each once.
func (t *Trust) Parties() []string {
	names := make([]string, 0, len(t.ThirdParties))
	for _, p := range t.ThirdParties {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

func (t *Trust) thirdParty(key [32]byte) *ThirdParty {
	for i := range t.ThirdParties {
		if t.ThirdParties[i].Key == key {
			return &t.ThirdParties[i]
		}
	}
	return nil
}

func (t *Trust) operator(key *keys.Public) *Operator {
	for i := range t.Operators {
		if string(t.Operators[i].Key.SPKI()) == string(key.SPKI()) {
			return &t.Operators[i]
		}
	}
	return nil
}

func keyText(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
