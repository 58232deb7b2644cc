package device

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Question is what a device asks: may these keys be used now?
type Question struct {
	Bundle, Proof []byte // as the fleet handed them out
	Policy        *Policy
	Now           time.Time // by the device's clock

	State Place // what the device remembers of its fleet
	Guard Place // which state that is: in another place, see docs/devices.md
	// Begin allows the first contact, where there is neither a state nor a guard. An
	// app says so once, when it was installed: to whoever deletes both it is a lock.
	Begin bool
}

// Check is everything that a device does with a fleet's answer, in one call. It
// judges bundle and proof as [Judge] does, by the state that it reads, and has the
// new state written durably before it says yes. Several processes that check at the
// same time do so one after the other.
//
// The error is a *bundle.Refusal where the bundle is refused, by the reason
// ReasonState where the state is; a bundle.ErrTrust where nothing can be judged by
// what is pinned; any other is of the places, such as a full disk. With an error
// there is no verdict: the device uses nothing of the bundle, and goes on with the
// keys that it accepted before.
func Check(q Question) (*Verdict, error) {
	switch {
	case q.State == nil || q.Guard == nil:
		return nil, fmt.Errorf("%w: state and guard each need a place", bundle.ErrTrust)
	case q.State.Name() == q.Guard.Name() || together(q.State, q.Guard):
		return nil, fmt.Errorf("%w: state %s and guard %s are one; each is in a place of its own", bundle.ErrTrust, q.State.Name(), q.Guard.Name())
	}
	unlock, err := lock(q.State, q.Guard)
	if err != nil {
		return nil, err
	}
	defer unlock()
	k, err := read(q)
	if err != nil {
		return nil, err
	}
	v, err := Judge(q.Bundle, q.Proof, q.Policy, k.state, q.Now)
	if err != nil {
		return nil, err
	}
	if err := k.keep(v.State); err != nil {
		return nil, err
	}
	return v, nil
}

func lock(state, guard Place) (unlock func(), err error) {
	first, err := state.Lock()
	if err != nil {
		return nil, err
	}
	second, err := guard.Lock()
	if err != nil {
		first()
		return nil, err
	}
	return func() { second(); first() }, nil
}

// kept is a state with its guard, as they were read.
type kept struct {
	q     Question
	state *State // nil at first contact
	guard *guard
}

func stateError(place Place, hint, format string, args ...any) error {
	return &bundle.Refusal{Reason: ReasonState, Err: strict.Errorf(place.Name(), format, args...).WithHint("%s", hint)}
}

const (
	beginHint = "At first contact, when the app was just installed, say so: --begin."
	lostHint  = "If the device's data was put back from a copy, nothing of it counts: install the app anew, or remove both and --begin,\n" +
		"knowing that nothing then shows which epoch of the fleet is the latest."
)

// read gives the state, if it is the one that its guard has seen.
func read(q Question) (*kept, error) {
	text, err := q.State.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = nil
	case err != nil:
		return nil, err
	case text == nil:
		text = []byte{} // it is there, and empty
	}
	k := &kept{q: q, guard: new(guard)}
	seen, err := q.Guard.Read()
	switch there := text != nil; {
	case errors.Is(err, fs.ErrNotExist) && !there && q.Begin:
		return k, nil
	case errors.Is(err, fs.ErrNotExist) && !there:
		return nil, stateError(q.State, beginHint, "does not exist, and neither does its guard %s", q.Guard.Name())
	case errors.Is(err, fs.ErrNotExist):
		return nil, stateError(q.Guard, lostHint, "does not exist, and the state %s does: nothing shows that it is the newest", q.State.Name())
	case err != nil:
		return nil, err
	}
	if k.guard, err = parseGuard(q.Guard.Name(), seen); err != nil {
		return nil, &bundle.Refusal{Reason: ReasonState, Err: err}
	}
	if !k.guard.knows(text) {
		if text == nil {
			return nil, stateError(q.State, lostHint, "does not exist, and its guard %s has seen one", q.Guard.Name())
		}
		return nil, stateError(q.State, lostHint, "is not the state that its guard %s has seen last: it is an older one, damaged, or somebody else's", q.Guard.Name())
	}
	if text == nil {
		return k, nil
	}
	if k.state, err = ParseState(q.State.Name(), text); err != nil {
		return nil, &bundle.Refusal{Reason: ReasonState, Err: err}
	}
	return k, nil
}

// keep has the new state written before anybody learns of it: the guard names both,
// the state takes the other's place, the guard names it alone.
func (k *kept) keep(next *State) error {
	var old, neu [32]byte
	if k.state != nil {
		old = k.state.digest()
	}
	neu = next.digest()
	if old == neu && *k.guard == (guard{state: neu}) {
		return nil
	}
	// A process that was killed may have left the very state that is there, and not on
	// the disk: what the guard doesn't name alone is written once more, before the guard
	// names it beside a new one and its predecessor no longer.
	if k.state != nil && *k.guard != (guard{state: old}) {
		if err := k.settle(k.state); err != nil || old == neu {
			return err
		}
	}
	if err := write(k.q.Guard, (&guard{state: old, next: neu}).text()); err != nil {
		return err
	}
	return k.settle(next)
}

// settle writes a state that the guard names already, and then that it is the one.
func (k *kept) settle(s *State) error {
	if err := write(k.q.State, s.raw); err != nil {
		return err
	}
	return write(k.q.Guard, (&guard{state: s.digest()}).text())
}

func write(p Place, text []byte) error {
	if err := p.Write(text); err != nil {
		return unwritten(p, err)
	}
	return nil
}

func unwritten(p Place, err error) error {
	e := strict.Errorf(p.Name(), "can't be written, so nothing is accepted: %v", err).Because(err)
	if durable.DiskFault(err) {
		e = e.WithHint("Make room, or mend the disk, and check again: the state is as it was, or the new one as a whole.")
	}
	return e
}
