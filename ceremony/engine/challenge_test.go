package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
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

// raisingPINs say it once where a PIN is asked for, and once after a wrong one.
type raisingPINs struct {
	engine.Tokens
	people *raisers
}

func (b raisingPINs) PIN(ctx context.Context, site *engine.SiteHSM, about token.Info, failed error) (engine.PIN, error) {
	if err := b.people.once("PIN of " + site.Name); err != nil {
		return engine.PIN{}, err
	}
	return b.Tokens.PIN(ctx, site, about, failed)
}

// TestWhatIsRaisedAtAQuestionInterruptsNothing: it is on the record, the question is
// asked again, and no key is given up for it.
func TestWhatIsRaisedAtAQuestionInterruptsNothing(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "raised"})
	people := &raisers{}
	c := f.Config(f.Dir, testfleet.Random("raised"))
	c.Participants, c.Tokens = people, raisingPINs{c.Tokens, people}
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
	if len(people.raised) < 5 || !slices.Contains(happened, "PIN of hsm-1") || !slices.Equal(happened, people.raised) {
		t.Errorf("on the record are %q, raised were %q", happened, people.raised)
	}
	// The first login was approved as it then stood, with what was raised at its PIN.
	list, err := folder.ReadSignings(f.Dir, ceremony.ApprovalsDir)
	if err != nil {
		t.Fatal(err)
	}
	first := slices.IndexFunc(a.Needs, func(n ceremony.Approval) bool { return n.Act == ceremony.ApproveOpen })
	given, err := must(a.People()).Approvals(a.Needs[first], list)
	if err != nil || len(given) < f.Plan.Threshold {
		t.Errorf("the first login is approved by %q, %v", given, err)
	}
	if a.FleetCheck == nil || len(a.Keys) != len(f.Plan.HSMs) || keyCount(f) != len(f.Plan.HSMs) {
		t.Errorf("a key was given up: %d on the record, %d in tokens", len(a.Keys), keyCount(f))
	}
}

// TestPeopleCanAdjournBetweenTwoStepsAndTakeItBack: what is taken back leaves no record
// and interrupts nothing.
func TestPeopleCanAdjournBetweenTwoStepsAndTakeItBack(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "between"})
	c := f.Config(f.Dir, testfleet.Random("between"))
	asked, over := 0, errors.New("adjourned")
	c.Between = func(j *engine.Journal) error {
		if asked++; !j.Account().Opened() || asked < 6 {
			return nil // taken back
		}
		if err := j.Adjourn(&ceremony.Adjourn{Reason: "for the night", Seals: []ceremony.Seal{}}); err != nil {
			return err
		}
		return over
	}
	a, err := engine.Run(t.Context(), c)
	if !errors.Is(err, over) || !a.Adjourned || asked != 6 || a.StepNumber() != 6 {
		t.Errorf("asked %d times, at step %d, adjourned %t: %v", asked, a.StepNumber(), a.Adjourned, err)
	}
}
