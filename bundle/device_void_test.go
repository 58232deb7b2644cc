package bundle

import (
	"errors"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// aFleet are the bundles of one fleet's epochs, as a device is handed them.
type aFleet struct {
	t testing.TB
	w *world
}

func (f aFleet) keys(epoch uint64, previous [32]byte) *Bundle {
	set := parsed(fleet(epoch, previous[:], 5, keys.Ed25519))
	st := []Signed{signed("tp-1", set), signed("tp-2", set)}
	return must(Assemble(set.Raw(), st, []Countersignature{countersigned(keys.P256, "operator", FormBound, set, st...)}, aRecord))
}

func (f aFleet) void(after *Bundle) *Bundle {
	n := retirement(after.KeySet)
	n.Format, n.Effective, n.Reason = VoidFormat, nil, "abandoned"
	return noticed(n)
}

// voidOf is a void of a void.
func (f aFleet) voidOf(after *Bundle) *Bundle {
	n := *after.Notice
	n.raw, n.Epoch, n.Previous = nil, n.Epoch+1, after.about().digest
	return noticed(&n)
}

func (f aFleet) check(b *Bundle, s *DeviceState) (*Accepted, error) {
	return Check(b.Raw(), logged(b.Raw(), now, now), f.w.trust, logPolicy(f.t, both), s, now, time.Hour)
}

// see has a device accept bundles one after the other.
func (f aFleet) see(list ...*Bundle) *DeviceState {
	f.t.Helper()
	var s *DeviceState
	for _, b := range list {
		got, err := f.check(b, s)
		if err != nil {
			f.t.Fatal(err)
		}
		s = &got.State
	}
	return s
}

func (f aFleet) refuses(b *Bundle, s *DeviceState, why Reason) {
	f.t.Helper()
	got, err := f.check(b, s)
	var r *Refusal
	if !errors.As(err, &r) || r.Reason != why || got != nil {
		f.t.Errorf("refused with %v, want %s", err, why)
	}
}

// A void ends the epoch before it and brings back the keys that this one had
// superseded. Without that a fleet whose next epoch was abandoned could serve
// nobody until it has another one.
func TestAVoidBringsBackTheKeysBeforeTheEpochThatItVoids(t *testing.T) {
	f := aFleet{t, newWorld()}
	one := f.w.bundle
	two := f.keys(2, f.w.set.Digest())
	three := f.void(two)
	s := f.see(one, two)
	f.refuses(one, s, ReasonEpoch)
	s = f.see(one, two, three)
	if !s.Void || s.Epoch != 3 || s.Keys != (Held{1, f.w.set.Digest()}) || s.Earlier != (Held{}) {
		t.Fatalf("after the void: %+v", s)
	}
	if got, err := f.check(one, s); err != nil || got.State != *s {
		t.Errorf("the keys that are in force again: %v", err)
	}
	f.refuses(two, s, ReasonVoid)
	other := parsed(fleet(1, nil, 5, keys.Ed25519, keys.P256))
	st := []Signed{signed("tp-1", other), signed("tp-2", other)}
	f.refuses(must(Assemble(other.Raw(), st, []Countersignature{countersigned(keys.P256, "operator", FormBound, other, st...)}, aRecord)), s, ReasonEquivocation)

	// Epoch 4 continues after the void, and from then on epoch 1 is superseded.
	four := f.keys(4, three.about().digest)
	s = f.see(one, two, three, four)
	f.refuses(one, s, ReasonEpoch)

	// A device that never had the voided keys keeps its own.
	if s = f.see(one, three); s.Keys.Epoch != 1 || s.Epoch != 3 {
		t.Errorf("%+v", s)
	}
	// One that missed epoch 2 takes it after the void of epoch 3, and then doesn't go back.
	void3 := f.void(f.keys(3, two.about().digest))
	s = f.see(one, void3, two)
	if s.Keys.Epoch != 2 || s.Epoch != 4 || !s.Void {
		t.Errorf("%+v", s)
	}
	f.refuses(one, s, ReasonEpoch)
	f.refuses(f.keys(3, two.about().digest), s, ReasonVoid)
}

// Whoever hands out the keys of a void epoch has had them refused once. A second void
// must not have them accepted, however the device came to it.
func TestAVoidEpochStaysVoidWhenALaterEpochIsVoidedToo(t *testing.T) {
	f := aFleet{t, newWorld()}
	one := f.w.bundle
	two := f.keys(2, f.w.set.Digest())
	void2 := f.void(two)
	four := f.keys(4, void2.about().digest)
	void4 := f.void(four)
	for what, list := range map[string][]*Bundle{
		"each epoch seen":    {one, two, void2, four, void4},
		"without the second": {one, void2, four, void4},
		"without the fourth": {one, two, void2, void4},
		"a void of a void":   {one, two, void2, f.voidOf(void2)},
	} {
		s := f.see(list...)
		if s.Keys != (Held{1, f.w.set.Digest()}) || !s.Void {
			t.Errorf("%s: %+v", what, s)
		}
		f.refuses(two, s, ReasonEpoch)
		if got, err := f.check(one, s); err != nil || got.State != *s {
			t.Errorf("%s: the keys that are in force: %v", what, err)
		}
	}
	// What was superseded before the device saw an epoch doesn't come back with its void.
	five := f.keys(5, void4.about().digest)
	s := f.see(one, five, f.void(f.keys(6, five.about().digest)))
	f.refuses(two, s, ReasonEpoch)
	if s.Keys.Epoch != 5 {
		t.Errorf("%+v", s)
	}
	// But what came between the two that it saw may be in force.
	three := f.keys(3, two.about().digest)
	if s = f.see(one, three, f.void(three), two); s.Keys.Epoch != 2 {
		t.Errorf("%+v", s)
	}
}

// A retired fleet's keys end when the retirement says so, and a device whose clock was
// set back before that, but after which witnesses signed, doesn't go on with them.
func TestNobodyUsesARetiredFleetsKeysFromItsEndOn(t *testing.T) {
	f := aFleet{t, newWorld()}
	one := Held{1, f.w.set.Digest()}
	s := f.see(f.w.bundle)
	if s.InForce(now.Add(1000*time.Hour)) != one {
		t.Error("keys of a fleet that isn't retired")
	}
	n := retirement(f.w.set)
	s = f.see(f.w.bundle, noticed(n))
	end := *n.Effective
	for at, want := range map[time.Time]Held{now: one, end.Add(-time.Second): one, end: {}, end.Add(time.Hour): {}} {
		if got := s.InForce(at); got != want {
			t.Errorf("at %s epoch %d", at, got.Epoch)
		}
	}
	got, err := Check(noticed(n).Raw(), logged(noticed(n).Raw(), end, end), f.w.trust, logPolicy(t, both), s, end, time.Hour)
	if err != nil || got.State.InForce(now) != (Held{}) || got.Keys() != nil {
		t.Errorf("with a clock that was set back: %+v, %v", got, err)
	}
}

// A zero in what a device remembers would bound nothing: whoever kept the state in a
// form that lost a part of it is told so, and isn't handed a verdict.
func TestAStateThatLostAPartOfItselfJudgesNothing(t *testing.T) {
	f := aFleet{t, newWorld()}
	one := f.w.bundle
	two := f.keys(2, f.w.set.Digest())
	void := f.void(two)
	seen, void3, gone := f.see(one, two), f.see(one, two, void), f.see(one, noticed(retirement(f.w.set)))
	for what, x := range map[string]struct {
		of   *DeviceState
		lose func(*DeviceState)
	}{
		"when witnesses signed":     {seen, func(s *DeviceState) { s.Witnessed = time.Time{} }},
		"the digest":                {seen, func(s *DeviceState) { s.Digest, s.Keys.Digest = [32]byte{}, [32]byte{} }},
		"the keys":                  {seen, func(s *DeviceState) { s.Keys = Held{} }},
		"which epochs are over":     {seen, func(s *DeviceState) { s.Closed = 0 }},
		"that the newest is a void": {void3, func(s *DeviceState) { s.Void = false }},
		"half of the keys":          {void3, func(s *DeviceState) { s.Keys.Digest = [32]byte{} }},
		"the retirement":            {gone, func(s *DeviceState) { s.Retired = false }},
		"the retirement's end":      {gone, func(s *DeviceState) { s.Effective = time.Time{} }},
	} {
		s := *x.of
		if fault := s.Fault(); fault != "" {
			t.Errorf("%s: whole, and it %s", what, fault)
		}
		x.lose(&s)
		for _, b := range []*Bundle{one, two, void} {
			if got, err := f.check(b, &s); !errors.Is(err, ErrTrust) || got != nil {
				t.Errorf("it lost %s: %v", what, err)
			}
		}
	}
}

// Old proofs are fresh to a clock that was set back. What witnesses signed bounds it.
func TestADevicesClockIsNotBeforeWhatWitnessesSigned(t *testing.T) {
	f := aFleet{t, newWorld()}
	leaf := f.w.bundle.Raw()
	at := func(proof, now time.Time, s *DeviceState) (*Accepted, error) {
		return Check(leaf, logged(leaf, proof, proof), f.w.trust, logPolicy(t, both), s, now, time.Hour)
	}
	got, err := at(now, now, nil)
	if err != nil || !got.State.Witnessed.Equal(now) {
		t.Fatal(got, err)
	}
	for back, want := range map[time.Duration]bool{0: true, -4 * time.Minute: true, -6 * time.Minute: false, -8 * time.Hour: false} {
		clock := now.Add(back)
		again, err := at(clock.Add(-time.Minute), clock, &got.State)
		var r *Refusal
		switch {
		case want && err != nil, !want && (!errors.As(err, &r) || r.Reason != ReasonClock || again != nil):
			t.Errorf("%s: %v", back, err)
		case want && !again.State.Witnessed.Equal(now):
			t.Errorf("%s: the newest time went back to %s", back, again.State.Witnessed)
		}
	}
	if _, err := at(now, time.Time{}, nil); !errors.Is(err, ErrTrust) {
		t.Errorf("without a time: %v", err)
	}
}
