package bundle

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ErrTrust is the error of a Trust by which no bundle can be judged. It says
// nothing about the bundle.
var ErrTrust = errors.New("what is pinned can't be used")

// Trust is what a verifier pins. It never travels with the bundle it judges.
type Trust struct {
	Mode         string // Production or Rehearsal: the only kind of bundle accepted
	Namespace    string
	ThirdParties []ThirdParty
	Needed       int // how many different third parties must sign, from 1
	Operators    []Operator

	// RequireAll names third parties and operators of whom a classical and a
	// post-quantum signature must both count: a third party's statement by one of its
	// keys and an addition by one of Additional, an operator's countersignatures by two
	// of Operators that have its name. Without it any one key of an operator will do.
	RequireAll []string
	Additional []AdditionalKey

	// Shares are pairs of holders, in different parts, who may have the same key. By
	// default nobody may. A third party and an operator never may.
	Shares []auditlog.Shared

	// Seen knows signatures that were verified before, such as the same ones in a
	// ceremony's records. It may be nil.
	Seen *Seen
}

// ThirdParty is a pinned key of a signer of statements. Keys with the same name,
// such as an old key and its successor, belong to one party and count once.
type ThirdParty struct {
	Name   string
	Key    [32]byte // raw Ed25519 key
	Window Window
}

// Operator is a pinned countersigner; one of them must countersign. Several keys have
// one name only where RequireAll has it.
type Operator struct {
	Name   string
	Key    *PublicKey
	Form   string // FormBound or FormSignature: the only form accepted from this key
	Window Window
}

// Check checks that the trust can be used; its error is an ErrTrust. Verify checks
// the same again, except that it doesn't admit the keys again.
func (t *Trust) Check() error { return t.CheckWith(nil) }

// CheckWith is Check beside a log policy, whose logs and witnesses must not hold
// any other pinned key.
func (t *Trust) CheckWith(log *auditlog.Policy) error {
	if log != nil {
		if _, err := t.dating(log); err != nil {
			return err
		}
	}
	if _, err := t.usable(log); err != nil {
		return err
	}
	for _, p := range t.ThirdParties {
		if err := keys.AdmitEd25519(p.Key[:]); err != nil {
			return fmt.Errorf("%w: the key of third party %s %w", ErrTrust, p.Name, err)
		}
	}
	return nil
}

// usable refuses a trust that demands less than it seems to: one that demands
// nothing, or has one key that would count as two signers.
func (t *Trust) usable(log *auditlog.Policy) (*keys.Roster, error) {
	if t == nil {
		return nil, fmt.Errorf("%w: nothing is pinned", ErrTrust)
	}
	if t.Mode != Production && t.Mode != Rehearsal {
		return nil, fmt.Errorf("%w: the mode is %q; %s and %s are allowed", ErrTrust, t.Mode, Production, Rehearsal)
	}
	if err := strict.CheckToken(t.Namespace); err != nil {
		return nil, fmt.Errorf("%w: the namespace %w", ErrTrust, err)
	}
	if n := len(t.Parties()); t.Needed < 1 || t.Needed > n {
		return nil, fmt.Errorf("%w: %d third parties must sign, and %d are pinned", ErrTrust, t.Needed, n)
	}
	if len(t.Operators) == 0 {
		return nil, fmt.Errorf("%w: no operator's key is pinned", ErrTrust)
	}
	named := map[string]bool{}
	for _, p := range t.ThirdParties {
		named[p.Name] = true
	}
	for _, o := range t.Operators {
		switch {
		case named[o.Name] && !t.RequiresAll(o.Name):
			return nil, fmt.Errorf("%w: the name %q is pinned twice", ErrTrust, o.Name)
		case o.Key == nil || !o.Key.Algorithm().CanSign():
			return nil, fmt.Errorf("%w: operator %s has no key that can sign", ErrTrust, o.Name)
		case o.Form != FormBound && o.Form != FormSignature:
			return nil, fmt.Errorf("%w: operator %s is pinned with form %q; %s and %s are allowed", ErrTrust, o.Name, o.Form, FormBound, FormSignature)
		}
		named[o.Name] = true
	}
	for _, p := range t.ThirdParties {
		if slices.ContainsFunc(t.Operators, func(o Operator) bool { return o.Name == p.Name }) {
			return nil, fmt.Errorf("%w: the name %q is pinned twice", ErrTrust, p.Name)
		}
	}
	if err := t.hybrid(); err != nil {
		return nil, err
	}
	return t.roster(log)
}

// roster knows who holds each pinned key, with those of the log policy if there is
// one. An operator with a third party's key would sign for both.
func (t *Trust) roster(log *auditlog.Policy) (*keys.Roster, error) {
	r := new(keys.Roster)
	for _, s := range t.Shares {
		if s.Holder.Part == s.Other.Part || signs(s.Holder) && signs(s.Other) {
			return nil, fmt.Errorf("%w: %s and %s may never have one key", ErrTrust, s.Holder, s.Other)
		}
		r.Allow(s.Holder, s.Other)
	}
	var err error
	add := func(part, name string, key keys.Point) {
		if err == nil {
			err = r.Add(keys.Holder{Part: part, Name: name}, key)
		}
	}
	for _, p := range t.ThirdParties {
		add(keys.PartThirdParty, p.Name, keys.Ed25519Point(p.Key))
	}
	for _, k := range t.Additional {
		add(keys.PartThirdParty, k.Name, k.Key.Point())
	}
	for _, o := range t.Operators {
		add(keys.PartOperator, o.Name, o.Key.Point())
	}
	if err == nil && log != nil {
		err = log.Enter(r)
	}
	if shared := new(keys.Shared); errors.As(err, &shared) {
		return nil, fmt.Errorf("%w: %s and %s have the same key", ErrTrust, shared.Other.Name, shared.Holder.Name)
	}
	return r, err
}

func signs(h keys.Holder) bool { return h.Part == keys.PartThirdParty || h.Part == keys.PartOperator }

// Parties are the names of the pinned third parties, each once.
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
