package device

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Reasons of this package, beside those of package bundle.
const (
	ReasonPinned bundle.Reason = "pinned" // it brings keys that the policy doesn't pin
	ReasonState  bundle.Reason = "state"  // the state is lost, damaged, or not the one that its guard has seen
)

// Verdict is a bundle that a device may trust, and what it keeps of it.
type Verdict struct {
	*bundle.Accepted
	State *State
	// Changed says that the state is another one than before.
	Changed bool
}

// Judge is a device's whole check of bytes: bundle and proof by the policy, the
// time and what the device remembers. state is nil at first contact and only then.
// It opens no file; [Check] does the same with the state's files. The error is a
// *bundle.Refusal where the bundle is refused, and a bundle.ErrTrust where nothing
// can be judged by what is pinned or remembered. With an error there is no verdict:
// the device uses nothing of the bundle and keeps its state.
func Judge(b, proof []byte, p *Policy, state *State, now time.Time) (*Verdict, error) {
	if p == nil || p.raw == nil {
		return nil, fmt.Errorf("%w: there is no policy", bundle.ErrTrust)
	}
	var before *bundle.DeviceState
	if state != nil {
		if state.Mode != p.Trust.Mode || state.Namespace != p.Trust.Namespace {
			return nil, fmt.Errorf("%w: the device's state is of %s, namespace %s, and %s is for %s, namespace %s: each namespace has a state of its own",
				bundle.ErrTrust, state.Mode, state.Namespace, p.File, p.Trust.Mode, p.Trust.Namespace)
		}
		before = &state.DeviceState
	}
	a, err := bundle.Check(b, proof, p.Trust, p.Log, before, now, p.MaxAge)
	if err != nil {
		return nil, err
	}
	if err := p.pinned(a.Bundle); err != nil {
		return nil, &bundle.Refusal{Reason: ReasonPinned, Err: err}
	}
	if state != nil && a.State == state.DeviceState {
		return &Verdict{Accepted: a, State: state}, nil
	}
	next, err := newState(p, a.State)
	if err != nil {
		return nil, err
	}
	return &Verdict{Accepted: a, State: next, Changed: true}, nil
}

// pinned refuses a key set that the policy doesn't pin, where it pins any.
func (p *Policy) pinned(b *bundle.Bundle) error {
	if b.KeySet == nil {
		return nil // it takes keys away, and brings none
	}
	const hint = "The app that pins has to be updated before the fleet's keys change."
	if len(p.Artifacts) > 0 && !slices.Contains(p.Artifacts, b.KeySet.Digest()) {
		return strict.Errorf("bundle.json", "has the artifact %x, which is none of the %d that %s pins", b.KeySet.Digest(), len(p.Artifacts), p.File).WithHint(hint)
	}
	if role := p.SessionPostQuantum; role != "" {
		if all, _ := b.KeySet.PostQuantumRoles(); !slices.Contains(all, role) {
			return strict.Errorf("bundle.json", "has no role %s whose keys are of ML-DSA, and %s has every session signed by one: its roles are %v", role, p.File, b.KeySet.Roles()).
				WithHint("A fleet without post-quantum session keys is not taken in the place of one that has them.")
		}
	}
	if len(p.Keys) == 0 {
		return nil
	}
	for _, k := range b.KeySet.Keys {
		if !slices.ContainsFunc(p.Keys, func(x []byte) bool { return bytes.Equal(x, k.SPKI) }) {
			return strict.Errorf("bundle.json", "has the key of hsm %s, role %s, which is none of the %d that %s pins", k.HSM, k.Role, len(p.Keys), p.File).WithHint(hint)
		}
	}
	return nil
}
