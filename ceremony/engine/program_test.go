package engine_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/story"
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

// TestEveryRecordIsRefusedFromAnotherProgram: whatever is to be written. It goes on once
// an exception names it, and the one before is then the other one.
func TestEveryRecordIsRefusedFromAnotherProgram(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "other-program", To: testfleet.ToFleetRun})
	next := ceremony.Program{Version: "2", Binary: sha256.Sum256([]byte("2"))}
	random, x := testfleet.Random("other-program"), ceremony.Exception{Expected: "1", Happened: "2", Decided: "to go on"}
	refuses := func(is ceremony.Program) {
		t.Helper()
		var other *engine.OtherProgram
		if _, err := engine.OpenJournal(f.Dir, is, f.Now, random); !errors.As(err, &other) || other.Is != is || !strings.Contains(err.Error(), "was last run by") {
			t.Errorf("%q: %v", is.Version, err)
		}
		if _, err := engine.ExplainClock(f.Dir, is, f.Now, random, x, f.Now()); !errors.As(err, &other) {
			t.Errorf("%q about the clock: %v", is.Version, err)
		}
	}
	refuses(next)
	refuses(ceremony.Program{})
	if _, err := engine.GoOnUnder(f.Dir, testfleet.Program, f.Now, random, x); err == nil || !strings.Contains(err.Error(), "this is the program that ran the ceremony last") {
		t.Errorf("the same program as another one: %v", err)
	}
	if _, err := engine.GoOnUnder(f.Dir, ceremony.Program{}, f.Now, random, x); err == nil {
		t.Error("a program that nobody knows goes on")
	}
	a, err := engine.GoOnUnder(f.Dir, next, f.Now, random, x)
	if err != nil || a.Program() != next || len(a.Exceptions) != 1 {
		t.Fatalf("%v, %+v", err, a)
	}
	refuses(testfleet.Program)
	j := must(engine.OpenJournal(f.Dir, next, f.Now, random))
	must(j.Append(&ceremony.Exception{Number: 2, Expected: "a", Happened: "b", Decided: "c"}))
	if _, err := j.Append(&ceremony.Exception{Number: 3, Expected: "a", Happened: "b", Decided: "c", Version: "3", Binary: sha256.Sum256([]byte("3"))}); err == nil {
		t.Error("a record names another program than the one that writes it")
	}
	must(0, j.Close())
	if _, err := engine.ExplainClock(f.Dir, testfleet.Program, f.Now, random, ceremony.Exception{
		Expected: "a", Happened: "b", Decided: "c", Version: testfleet.Program.Version, Binary: testfleet.Program.Binary,
	}, f.Now()); err != nil {
		t.Errorf("both the clock and the program: %v", err)
	}
	a, records, err := folder.ReadTorn(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	told := must(story.Tell(a, records.Records, nil))
	if n := told.Count(story.OtherProgram); n != 2 {
		t.Errorf("the story has %d changes of the program", n)
	}
}

// TestAnotherProgramEndsACeremonyOnlyWherePeopleAgree: nothing is destroyed before.
func TestAnotherProgramEndsACeremonyOnlyWherePeopleAgree(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "other-abort", To: testfleet.ToFleetRun})
	people := &upgraders{}
	c := f.Config(f.Dir, testfleet.Random("other-abort"))
	c.Participants, c.Version, c.Binary = people, "2", sha256.Sum256([]byte("2"))
	before := must(folder.Read(f.Dir)).N
	if _, err := engine.Abort(t.Context(), c, "why not"); err == nil || !strings.Contains(err.Error(), "they don't know that program") {
		t.Errorf("%v", err)
	}
	if a := must(folder.Read(f.Dir)); a.N != before {
		t.Errorf("%d records more", a.N-before)
	}
	people.agree = true
	a, err := engine.Abort(t.Context(), c, "why not")
	if err != nil || a.Abort == nil || len(a.Exceptions) != 1 || a.Program().Version != "2" {
		t.Errorf("%v, %+v", err, a)
	}
	for _, k := range a.Abort.Keys {
		if k.State != ceremony.Destroyed {
			t.Errorf("%+v", k)
		}
	}
}
