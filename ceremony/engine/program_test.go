package engine_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// upgraders are people who are told of another program.
type upgraders struct {
	testfleet.Machine
	agree   bool
	was, is ceremony.Program
	stopAt  string // the challenge at which the program ends
}

func (u *upgraders) OtherProgram(_ context.Context, was, is ceremony.Program) error {
	u.was, u.is = was, is
	if !u.agree {
		return errors.New("they don't know that program")
	}
	return nil
}

func (u *upgraders) Challenge(ctx context.Context, q engine.Question) (int, string, error) {
	if q.What == u.stopAt {
		return 0, "", errors.New("the power goes")
	}
	return u.Machine.Challenge(ctx, q)
}

// TestAnotherProgramGoesOnOnlyWherePeopleAgree: they are asked before officers are,
// and the record names it. Whoever comes back with it isn't asked again.
func TestAnotherProgramGoesOnOnlyWherePeopleAgree(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "upgraded"})
	people := &upgraders{stopAt: ceremony.ChallengeFleet}
	config := func(version string) engine.Config {
		c := f.Config(f.Dir, testfleet.Random("upgraded"))
		c.Participants, c.Version, c.Binary = people, version, sha256.Sum256([]byte(version))
		return c
	}
	if _, err := engine.Run(t.Context(), config("1")); err == nil {
		t.Fatal("the power doesn't go")
	}
	refused := config("2")
	refused.Approve = func(context.Context, string, *ceremony.People, ceremony.Approval, []string) error {
		t.Error("officers were asked to go on under a program that nobody agreed to")
		return nil
	}
	if _, err := engine.Resume(t.Context(), refused); err == nil || !strings.Contains(err.Error(), "this is fleetctl 2, SHA-256") || !strings.Contains(err.Error(), "last run by 1, SHA-256") {
		t.Errorf("refused: %v", err)
	}
	if people.was.Version != "1" || people.is.Version != "2" || people.was.Binary == people.is.Binary {
		t.Errorf("they were told of %+v and %+v", people.was, people.is)
	}
	people.agree = true
	a, err := engine.Resume(t.Context(), config("2"))
	if err == nil || a.Program() != (ceremony.Program{Version: "2", Binary: sha256.Sum256([]byte("2"))}) {
		t.Fatalf("%v, %+v", err, a.Program())
	}
	people.agree, people.stopAt = false, ""
	if a, err := engine.Resume(t.Context(), config("2")); err != nil || a.Program().Version != "2" {
		t.Errorf("the same program once more: %v", err)
	}
}

// TestAnotherProgramDoesNotGoOnBeforeTheFirstLogin: nothing is lost by then, and no
// record could say so.
func TestAnotherProgramDoesNotGoOnBeforeTheFirstLogin(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "upgraded-early"})
	people := &upgraders{stopAt: ceremony.ChallengePlan, agree: true}
	config := f.Config(f.Dir, testfleet.Random("upgraded-early"))
	config.Participants = people
	if _, err := engine.Run(t.Context(), config); err == nil {
		t.Fatal("the power doesn't go")
	}
	people.stopAt = ""
	other := config
	other.Version, other.Binary = "2", sha256.Sum256([]byte("2"))
	if _, err := engine.Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "this is fleetctl 2") {
		t.Errorf("%v", err)
	}
	if _, err := engine.Run(t.Context(), config); err != nil {
		t.Errorf("the program that opened it: %v", err)
	}
}
