package phone_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/imposter"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/vault"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// reasons are for which nodes were refused, in the order in which they were asked.
func reasons(list []phone.Refused) (all []string) {
	for _, r := range list {
		all = append(all, fmt.Sprintf("%s %s", r.HSM, r.Why.Reason))
	}
	return all
}

func TestADeviceGoesOnToTheNodesThatItDoesNotRefuse(t *testing.T) {
	w := worldOf(t, fleetOf(t, testfleet.Options{Name: t.Name(), HSMs: 5}))
	good := w.node("hsm-5")
	d := w.device(w.dead("hsm-1"), w.imposter("hsm-2", good, (*imposter.Said).Unwitnessed), w.imposter("hsm-3", good, (*imposter.Said).Tampered), w.imposter("hsm-4", good, same), good)
	want := []string{"hsm-2 witnesses", "hsm-3 malformed", "hsm-4 node"}
	c := code()
	a, err := d.Register(t.Context(), c, must(client.NewKey(d.Random)), 0)
	if err != nil || a.Node != "hsm-5" {
		t.Fatal(a.Node, err)
	}
	if got := reasons(a.Refused); !slices.Equal(got, want) {
		t.Errorf("registering, it refused %q, not %q", got, want)
	}
	a, err = d.Recover(t.Context(), c)
	if err != nil || a.Node != "hsm-5" || a.Key == nil {
		t.Fatal(a.Node, err)
	}
	if got := reasons(a.Refused); !slices.Equal(got, want) {
		t.Errorf("recovering, it refused %q, not %q", got, want)
	}
	a, err = d.Recover(t.Context(), code())
	if !errors.As(err, new(*client.Wrong)) || a.Remaining != 2 || w.used() != 1 || len(a.Refused) != 3 {
		t.Errorf("a wrong code: %v, %d left, %d used", err, a.Remaining, w.used())
	}
}

func TestADeviceFailsWhereEveryNodeIsRefused(t *testing.T) {
	w := newWorld(t)
	good := w.node("hsm-1")
	c := w.registered(good)
	d := w.device(w.imposter("hsm-1", good, same), w.imposter("hsm-2", good, (*imposter.Said).Unwitnessed))
	a, err := d.Recover(t.Context(), c) // it ends by itself
	var r *bundle.Refusal
	if !errors.As(err, &r) || a.Key != nil || a.Counted || a.Uncertain || w.used() != 0 {
		t.Fatalf("%v; %+v", err, a)
	}
	for _, want := range []string{"every node is refused", "hsm-1 is refused (node)", "hsm-2 is refused (witnesses)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't say %q: %v", want, err)
		}
	}
}

func TestADeviceThatNobodyAnswersSaysWhomItHasRefused(t *testing.T) {
	w := newWorld(t)
	good := w.node("hsm-1")
	ctx, giveUp := context.WithCancel(t.Context())
	d := w.device(w.imposter("hsm-1", good, same), w.dead("hsm-2"))
	d.Session.Now = func() time.Time { // as it judges the imposter
		giveUp()
		return w.f.Last()
	}
	_, err := d.Recover(ctx, code())
	var n *phone.Nobody
	if !errors.As(err, &n) || n.Err == nil || errors.As(err, new(*bundle.Refusal)) || !strings.Contains(err.Error(), "hsm-1 is refused (node)") || !strings.Contains(err.Error(), "nobody answers: ") {
		t.Error(err)
	}
}

func TestAnOlderEpochIsAnAlarmThoughAnotherNodeAnswers(t *testing.T) {
	old := worldOf(t, fleetOf(t, testfleet.Options{Name: t.Name()}))
	w := worldOf(t, fleetOf(t, testfleet.Options{Name: t.Name() + " 2", After: old.f}))
	behind, good := old.node("hsm-1"), w.node("hsm-2")
	d := w.device(good)
	must(d.Register(t.Context(), code(), must(client.NewKey(d.Random)), 0)) // it has seen epoch 2
	d.Nodes = []phone.Node{behind, good}
	a, err := d.Recover(t.Context(), code())
	if !errors.As(err, new(*client.Wrong)) {
		t.Fatal(err)
	}
	if len(a.Refused) != 1 || a.Refused[0].Node != behind || !a.Refused[0].Alarm() {
		t.Errorf("it refused %q", reasons(a.Refused))
	}
	if old.used() != 0 || w.used() != 1 {
		t.Errorf("%d guesses are used at the old epoch, %d at the new one", old.used(), w.used())
	}
}

func TestAStateThatIsLostIsLostAtEveryNode(t *testing.T) {
	w := newWorld(t)
	d := w.device(w.node("hsm-1"), w.node("hsm-2"))
	must(d.Register(t.Context(), code(), must(client.NewKey(d.Random)), 0))
	d.Session.State = phone.Memory("state")
	a, err := d.Recover(t.Context(), code())
	if r := (*bundle.Refusal)(nil); !errors.As(err, &r) || r.Reason != device.ReasonState || errors.As(err, new(*phone.Nobody)) || len(a.Refused) > 0 || w.used() != 0 {
		t.Error(err)
	}
}

func TestANodeThatAnswersInAnothersPlaceIsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.node("hsm-1")
	s, err := w.device().Open(t.Context(), phone.Node{HSM: "hsm-2", Address: one.Address})
	if r := (*bundle.Refusal)(nil); s != nil || !errors.As(err, &r) || r.Reason != session.ReasonNode || !strings.Contains(err.Error(), "hsm-1 answers in the place of hsm-2") {
		t.Error(err)
	}
}

// TestNobodyCanHaveOneTryUseTwoGuesses: a device that goes on from node to node carries
// one login with it, whatever the nodes before have said, and whoever stands between. So
// there is nothing to be won by being refused, or lost, at the right time.
func TestNobodyCanHaveOneTryUseTwoGuesses(t *testing.T) {
	for what, attack := range map[string]func(*world, *phone.Phone){
		"the session is cut once the guess is counted": func(w *world, d *phone.Phone) { d.Over = w.cut("hsm-1", func() {}) },
		"a node counts it and denies it": func(w *world, _ *phone.Phone) {
			w.after = func(node string, _ guess.Kind) error {
				if node == "hsm-1" {
					return &vault.NoMajority{Err: errors.New("so it says")}
				}
				return nil
			}
		},
		"a node counts it and says that another one leads": func(w *world, _ *phone.Phone) {
			w.after = func(node string, _ guess.Kind) error {
				if node == "hsm-1" {
					return &vault.NotLeader{Leader: "hsm-2"} // which is an imposter
				}
				return nil
			}
		},
	} {
		w := newWorld(t)
		one, three := w.node("hsm-1"), w.node("hsm-3")
		w.registered(three)
		d := w.device(one, w.imposter("hsm-2", one, same), w.dead("hsm-4"), three)
		attack(w, d)
		a, err := d.Recover(t.Context(), code())
		if wrong := (*client.Wrong)(nil); !errors.As(err, &wrong) || wrong.Remaining != 2 || a.Node != "hsm-3" {
			t.Errorf("%s: %v", what, err)
		}
		if got := reasons(a.Refused); w.used() != 1 || !slices.Equal(got, []string{"hsm-2 node"}) {
			t.Errorf("%s: %d guesses are used; it refused %q", what, w.used(), got)
		}
	}
}

func TestAGuessThatMayBeUsedIsSaidWhereEveryOtherNodeIsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.node("hsm-1")
	c := w.registered(one)
	ctx, giveUp := context.WithCancel(t.Context())
	d := w.device(w.imposter("hsm-2", one, same), one)
	d.Over = w.cut("hsm-1", giveUp)
	a, err := d.Recover(ctx, c)
	if err == nil || !a.Uncertain || !strings.Contains(err.Error(), "whether a guess was used is not known") || w.used() != 1 {
		t.Errorf("%v; %+v; %d are used", err, a, w.used())
	}
}
