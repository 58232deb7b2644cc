package state_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
)

// Codes alone show no records. Two of them that no ceremony can have had one after the
// other are found all the same.
func TestNothingFollowsAnEndAndNoStepComesAgain(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "ends"), "run")
	steps := len(x.plan.Steps())
	for what, change := range map[string]func(s *state.State){
		"closed":  func(s *state.State) { s.Wants, s.Step, s.Subject = state.Closed, steps+1, [32]byte{} },
		"aborted": func(s *state.State) { s.Wants, s.Subject = state.Aborted, [32]byte{} },
		"a step":  func(s *state.State) { s.Wants, s.Step, s.Subject = state.Records, steps, [32]byte{} },
	} {
		first, s := x.states[5], state.NewSeen(x.plan)
		change(&first)
		if err := s.Claim(x.plan, first); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		refusedAs(t, s.Claim(x.plan, x.states[6]), state.OtherState)
		if last, _, _ := s.Last(); last != first || len(s.Alarms) != 1 {
			t.Errorf("%s: %+v, %+v", what, last, s.Alarms)
		}
	}
	early := x.states[5]
	early.Wants, early.Subject = state.Closed, [32]byte{}
	refusedAs(t, state.NewSeen(x.plan).Claim(x.plan, early), state.NotOfPlan)
}

func TestAChainAndTheEndThatItsStateClaimsGoTogether(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "ends"), "run")
	for what, change := range map[string]func(c *state.Chain){
		"it says that it is closed, and has no close": func(c *state.Chain) {
			c.State.Wants, c.State.Step, c.State.Subject = state.Closed, len(x.plan.Steps())+1, [32]byte{}
		},
		"it says that it is aborted, and has no abort": func(c *state.Chain) {
			c.State.Wants, c.State.Subject = state.Aborted, [32]byte{}
		},
		"it has a close, and says that it goes on":   func(c *state.Chain) { c.Links[5].Kind = ceremony.KindClose },
		"it has a resume, and its end tells of none": func(c *state.Chain) { c.Links[3].Kind = ceremony.KindResume },
		"it has no resume, and its end tells of one": func(c *state.Chain) { c.State.Resumed = 1 },
		"it goes on after an abort":                  func(c *state.Chain) { c.Links[2].Kind = ceremony.KindAbort },
	} {
		c := x.chain(t, 0, 6)
		change(c)
		c.State.Head = headOf(c)
		if _, err := state.ParseChain("chain", c.Encode()); err == nil || !strings.Contains(err.Error(), "end") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// headOf is the hash that a chain leads to.
func headOf(c *state.Chain) [32]byte {
	head := c.Before
	for i, l := range c.Links {
		r := &ceremony.Record{N: c.After + i + 1, Time: l.Time, Kind: l.Kind, Prev: head, Commit: l.Commit}
		head = r.Hash()
	}
	return head
}

// The other machine's own words are in some refusals. However long they are, what the
// screen keeps can be read by the next one that goes on from it.
func TestWhatAMachineSaysAtLengthDoesNotLoseWhatAScreenHasSeen(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "lengthy"), "run")
	s := state.NewSeen(x.plan)
	if err := s.Claim(x.plan, x.states[0]); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		open := *x.records[0].Content.(*ceremony.Open)
		open.ChosenBy = strings.Repeat("\ue000", 300_000+i)
		r, err := ceremony.NewAccount(x.plan).NewRecord(x.records[0].Time, bytes.NewReader(make([]byte, 32)), &open)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Replay(x.plan, "t", r.Line())
		refusedAs(t, err, state.BrokenChain)
	}
	if _, err := state.ParseSeen("seen", s.Encode(), x.plan); err != nil {
		t.Errorf("%d bytes are kept: %.200v", len(s.Encode()), err)
	}
}

// TestAResumeIsToldByTheStateAlone: without its records too, and it is never taken back.
func TestAResumeIsToldByTheStateAlone(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "ends"), "run")
	a, _, err := ceremony.Replay(x.plan, "t", x.transcript(12))
	if err != nil {
		t.Fatal(err)
	}
	intent := 0
	if k := a.OpenIntent(); k != nil {
		intent = k.N
	}
	r, err := a.NewRecord(a.Time, bytes.NewReader(make([]byte, 32)), &ceremony.Resume{Since: a.Time, Intent: intent})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Apply(r); err != nil {
		t.Fatal(err)
	}
	resumed := must(state.Of(a))
	if before := x.states[12]; before.Resumed != 0 || resumed.Resumed != 1 {
		t.Fatalf("%d and then %d resumes", before.Resumed, resumed.Resumed)
	}
	s := state.NewSeen(x.plan)
	for _, at := range []state.State{x.states[5], resumed} {
		if err := s.Claim(x.plan, at); err != nil {
			t.Fatal(err)
		}
	}
	later := x.states[14]
	refusedAs(t, s.Claim(x.plan, later), state.OtherState)
	// A chain from a state that was seen has as many resumes as its end tells more.
	chained := state.NewSeen(x.plan)
	if err := chained.Link(x.plan, x.chain(t, 0, 6)); err != nil {
		t.Fatal(err)
	}
	c := x.chain(t, 6, 14)
	c.State.Resumed = 1
	refusedAs(t, chained.Link(x.plan, c), state.OtherState)
}
