package bundle

import (
	"bytes"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const bothHint = "Keep both bundles: together they are the proof."

// after is what the device remembers once it has accepted the bundle. It refuses
// an artifact of another fleet, of an epoch that isn't in force, or with another
// past than the one that was seen: the artifact directly after the remembered one
// must name it. For a later one this can't be checked.
func (s *DeviceState) after(file string, b *Bundle, now time.Time) (*DeviceState, error) {
	a := b.about()
	if s == nil {
		return new(DeviceState).with(b), nil
	}
	refuse := func(why Reason, format string, args ...any) (*DeviceState, error) {
		err := strict.Errorf(file, format, args...)
		if why == ReasonEquivocation {
			err = err.WithHint(bothHint)
		}
		return nil, refused(why, err)
	}
	switch {
	case a.fleet != s.Fleet:
		return refuse(ReasonFleet, "is of fleet %s, this device's is %s", a.fleet, s.Fleet)
	case now.Add(keys.ClockTolerance).Before(s.Witnessed):
		return nil, refused(ReasonClock, strict.Errorf(file, "can't be judged at %s: this device has seen what witnesses signed at %s", strict.FormatTime(now), strict.FormatTime(s.Witnessed)).
			WithHint("Set this device's clock and try again."))
	case a.epoch == s.Epoch && a.digest != s.Digest:
		return refuse(ReasonEquivocation, "is a second artifact for epoch %d of fleet %s: the signers equivocate", a.epoch, a.fleet)
	case s.Retired && !(a.retires && a.epoch == s.Epoch): // the retirement itself may come again
		return refuse(ReasonRetired, "is of fleet %s, which was retired", a.fleet)
	case a.epoch == s.Epoch+1 && !bytes.Equal(b.previous(), s.Digest[:]):
		return refuse(ReasonEquivocation, "is epoch %d of fleet %s and follows another artifact of epoch %d than the one that this device has seen: the signers equivocate", a.epoch, a.fleet, s.Epoch)
	case a.epoch < s.Epoch:
		return s.again(b, refuse)
	case a.epoch == s.Epoch:
		return s.copied(), nil
	}
	return s.with(b), nil
}

// again judges an epoch before the newest one. Only after a void are there keys in
// force of such an epoch.
func (s *DeviceState) again(b *Bundle, refuse func(Reason, string, ...any) (*DeviceState, error)) (*DeviceState, error) {
	a := b.about()
	switch {
	case s.Void && a.epoch == s.Epoch-1:
		return refuse(ReasonVoid, "is epoch %d of fleet %s, which was declared void", a.epoch, a.fleet)
	case a.epoch == s.Keys.Epoch && a.digest != s.Keys.Digest:
		return refuse(ReasonEquivocation, "is a second artifact for epoch %d of fleet %s: the signers equivocate", a.epoch, a.fleet)
	case a.epoch == s.Keys.Epoch:
		return s.copied(), nil
	case s.Void && a.epoch > max(s.Keys.Epoch, s.Closed) && b.KeySet != nil:
		// The device missed the epoch that the void one came after.
		next := s.copied()
		next.Keys, next.Earlier = Held{a.epoch, a.digest}, s.Keys
		return next, nil
	}
	return refuse(ReasonEpoch, "is epoch %d of fleet %s; epoch %d was seen already", a.epoch, a.fleet, s.Epoch)
}

// Fault is what no accepted bundle can leave behind; empty where there is nothing. An
// app that keeps its state in a form of its own, or had one of an earlier version, may
// have lost a part of it, and what is zero then would bound nothing.
func (s *DeviceState) Fault() string {
	half := func(h Held) bool { return (h.Epoch == 0) != (h.Digest == [32]byte{}) }
	keys := !s.Void && !s.Retired
	switch {
	case s.Fleet == "" || s.Epoch == 0 || s.Epoch == 1 && !keys:
		return "names no fleet or epoch"
	case s.Digest == [32]byte{} || half(s.Keys) || half(s.Earlier):
		return "lacks an epoch or a digest"
	case s.Void && s.Retired || s.Retired == s.Effective.IsZero():
		return "has a retirement without its end, or an end without one"
	case keys && s.Keys != Held{s.Epoch, s.Digest}:
		return "has keys that are not those of the newest epoch"
	case s.Void && s.Keys.Epoch+1 >= s.Epoch:
		return "has keys of an epoch that is void"
	case s.Retired && s.Keys.Epoch >= s.Epoch:
		return "has keys of the retirement's epoch"
	case s.Earlier.Epoch > 0 && (s.Retired || s.Earlier.Epoch >= s.Keys.Epoch):
		return "has earlier keys that are not earlier"
	case s.Closed >= s.Epoch || s.Retired && s.Closed > 0 || keys && s.Earlier.Epoch > s.Closed:
		return "does not say which epochs are over"
	case s.Witnessed.Unix() <= 0:
		return "does not say when witnesses signed"
	}
	return ""
}

// InForce are the keys that the device may use at a time of its clock, as far as it
// has seen; Epoch 0: none. A clock that was set back lets no retired fleet live longer.
func (s *DeviceState) InForce(now time.Time) Held {
	if s.Witnessed.After(now) {
		now = s.Witnessed
	}
	if s.Retired && !now.Before(s.Effective) {
		return Held{}
	}
	return s.Keys
}

func (s *DeviceState) copied() *DeviceState { c := *s; return &c }

// with is the state once a newer epoch was accepted.
func (s *DeviceState) with(b *Bundle) *DeviceState {
	a := b.about()
	next := &DeviceState{Fleet: a.fleet, Epoch: a.epoch, Digest: a.digest, Retired: a.retires, Keys: s.Keys, Earlier: s.Earlier, Closed: s.Epoch, Witnessed: s.Witnessed}
	switch {
	case b.KeySet != nil:
		next.Keys, next.Earlier = Held{a.epoch, a.digest}, s.Keys
	case a.retires:
		next.Effective, next.Earlier, next.Closed = *b.Notice.Effective, Held{}, 0
	default:
		next.Void = true
		if next.Keys.Epoch == a.epoch-1 {
			next.Keys, next.Earlier, next.Closed = next.Earlier, Held{}, s.Closed
		}
	}
	return next
}
