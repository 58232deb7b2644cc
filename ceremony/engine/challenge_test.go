package engine_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// raisers say at every question once that something went otherwise than planned.
type raisers struct {
	testfleet.Machine
	raised []string
}

func (p *raisers) once(what string) error {
	if slices.Contains(p.raised, what) {
		return nil
	}
	p.raised = append(p.raised, what)
	return &engine.Raised{Exception: ceremony.Exception{Expected: "as planned", Happened: what, Decided: "go on"}}
}

func (p *raisers) Clock(ctx context.Context, now func() time.Time) (time.Time, string, error) {
	if err := p.once("clock"); err != nil {
		return time.Time{}, "", err
	}
	return p.Machine.Clock(ctx, now)
}

func (p *raisers) Seal(ctx context.Context, hsm string, wrong func(string) error) (string, string, string, error) {
	if err := p.once("seal of " + hsm); err != nil {
		return "", "", "", err
	}
	return p.Machine.Seal(ctx, hsm, wrong)
}

func (p *raisers) Challenge(ctx context.Context, q engine.Question) (int, string, error) {
	if err := p.once(q.What + " " + q.Step.HSM); err != nil {
		return 0, "", err
	}
	return p.Machine.Challenge(ctx, q)
}

// TestWhatIsRaisedAtAQuestionInterruptsNothing: it is on the record, the question is
// asked again, and no key is given up for it.
func TestWhatIsRaisedAtAQuestionInterruptsNothing(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "raised"})
	people := &raisers{}
	c := f.Config(f.Dir, testfleet.Random("raised"))
	c.Participants = people
	a, err := engine.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var happened []string
	for i, x := range a.Exceptions {
		if happened = append(happened, x.Happened); x.Number != i+1 {
			t.Errorf("exception %d is numbered %d", i+1, x.Number)
		}
	}
	if len(people.raised) < 5 || !slices.Equal(happened, people.raised) {
		t.Errorf("on the record are %q, raised were %q", happened, people.raised)
	}
	if a.FleetCheck == nil || len(a.Keys) != len(f.Plan.HSMs) || keyCount(f) != len(f.Plan.HSMs) {
		t.Errorf("a key was given up: %d on the record, %d in tokens", len(a.Keys), keyCount(f))
	}
}
