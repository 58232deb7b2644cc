package device

import (
	"errors"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
)

// What a device can't know it has missed, docs/devices.md and SPEC section 24.3 say;
// here it is what they say.
func TestADeviceThatMissedAVoidGoesOnWithWhatWasVoid(t *testing.T) {
	one := made{}.bundle()
	two := made{after: one}.bundle()
	void3 := made{after: two, notice: bundle.VoidFormat}.bundle()
	four := made{after: void3}.bundle()
	void5 := made{after: four, notice: bundle.VoidFormat}.bundle()
	judge := func(b *bundle.Bundle, s *State) (*State, error) {
		v, err := Judge(b.Raw(), fresh(b), policy(Pins{}), s, now)
		if err != nil {
			return nil, err
		}
		return v.State, nil
	}
	saw := func(list ...*bundle.Bundle) (s *State) {
		for _, b := range list {
			s = must(judge(b, s))
		}
		return s
	}
	// It is handed the void epoch with a young proof, and has no reason to refuse it.
	if s, err := judge(two, saw(one, two)); err != nil || s.Keys.Epoch != 2 {
		t.Errorf("the void epoch again: %v", err)
	}
	var r *bundle.Refusal
	if _, err := judge(two, saw(one, two, void3)); !errors.As(err, &r) || r.Reason != bundle.ReasonVoid {
		t.Errorf("whoever saw the void: %v", err)
	}
	// The next epoch ends it. Only a void of that one brings the void keys back, and
	// the void that was missed can't take them away any more.
	s := saw(one, two, four)
	if s.Keys.Epoch != 4 || saw(one, two, four, void5).Keys.Epoch != 2 || saw(one, two, void3, four, void5).Keys.Epoch != 1 {
		t.Errorf("in force: %d, then %d; with the void %d", s.Keys.Epoch, saw(one, two, four, void5).Keys.Epoch, saw(one, two, void3, four, void5).Keys.Epoch)
	}
	if _, err := judge(void3, saw(one, two, four, void5)); !errors.As(err, &r) || r.Reason != bundle.ReasonEpoch {
		t.Errorf("the void that was missed, after all: %v", err)
	}
}

// An epoch that the policy doesn't pin leaves nothing behind: neither that it is there,
// nor which of two artifacts of it came first.
func TestADeviceForgetsWhatItsPinsRefuse(t *testing.T) {
	one := made{}.bundle()
	two, second := made{after: one}.bundle(), made{after: one, keys: "other/"}.bundle()
	pinning := policy(Pins{Artifacts: [][32]byte{one.KeySet.Digest()}})
	s := must(Judge(one.Raw(), fresh(one), pinning, nil, now)).State
	var r *bundle.Refusal
	for _, b := range []*bundle.Bundle{two, second} {
		if _, err := Judge(b.Raw(), fresh(b), pinning, s, now); !errors.As(err, &r) || r.Reason != ReasonPinned {
			t.Errorf("an epoch that isn't pinned: %v", err)
		}
	}
	if v := must(Judge(one.Raw(), fresh(one), pinning, s, now)); v.Changed || v.State.Epoch != 1 {
		t.Error("what was refused is remembered")
	}
}
