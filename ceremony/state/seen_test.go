package state_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/state"
)

// how are the states that were seen, by the way in which each is known.
func how(s *state.Seen) string {
	var list []string
	for _, p := range s.Points {
		list = append(list, p.How[:2])
	}
	return strings.Join(list, " ")
}

func TestWhatWasClaimedIsLaterProvedByItsRecords(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "seen"), "run")
	s := state.NewSeen(x.plan)
	claim := func(n int) {
		t.Helper()
		if err := s.Claim(x.plan, x.states[n]); err != nil {
			t.Fatal(err)
		}
	}
	claim(2)
	claim(2) // it is still there
	claim(7)
	if err := s.Link(x.plan, x.chain(t, 0, 7)); err != nil || how(s) != "ch ch" {
		t.Fatalf("%v, %s", err, how(s))
	}
	claim(9)
	if err := s.Link(x.plan, x.chain(t, 7, 11)); err != nil || how(s) != "ch ch ch ch" {
		t.Fatalf("%v, %s", err, how(s))
	}
	claim(13)
	claim(15)
	// The records of a picture that was taken a moment earlier count as far as they go.
	if err := s.Link(x.plan, x.chain(t, 11, 13)); err != nil || how(s) != "ch ch ch ch ch cl" {
		t.Fatalf("%v, %s", err, how(s))
	}
	refusedAs(t, s.Link(x.plan, x.chain(t, 14, 16)), state.BrokenChain)
	if _, err := s.Replay(x.plan, "t", x.transcript(20)); err != nil || how(s) != "re re re re re re re" {
		t.Fatalf("%v, %s", err, how(s))
	}
	kept, err := state.ParseSeen("seen", s.Encode(), x.plan)
	if err != nil || !bytes.Equal(kept.Encode(), s.Encode()) {
		t.Fatal(err)
	}
	if last, how, ok := kept.Last(); !ok || last != x.states[20] || how != state.Replayed {
		t.Errorf("%+v, %s", last, how)
	}
}

// The ceremony's machine lies, in each way in which the screen can be shown something:
// it is refused by name, also by a screen that was started anew.
func TestAMachineThatLiesIsRefusedByName(t *testing.T) {
	x, y := ceremonyOf(t, prepared(t, "lies"), "run"), ceremonyOf(t, prepared(t, "lies"), "another run")
	z := ceremonyOf(t, prepared(t, "other plan"), "run")
	seen := func() *state.Seen {
		s := state.NewSeen(x.plan)
		for _, n := range []int{3, 6, 10} {
			if err := s.Claim(x.plan, x.states[n]); err != nil {
				t.Fatal(err)
			}
		}
		again, err := state.ParseSeen("seen", s.Encode(), x.plan)
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	other := x.states[10]
	other.Subject, other.Wants = [32]byte{1}, state.Words
	for _, c := range []struct {
		what, name string
		known      bool
		show       func(s *state.Seen) error
	}{
		{"a state of another run", state.AnotherHead, false, func(s *state.Seen) error { return s.Claim(x.plan, y.states[10]) }},
		{"a state of another run, earlier", state.AnotherHead, false, func(s *state.Seen) error { return s.Claim(x.plan, y.states[6]) }},
		{"a state that was seen", state.OlderState, true, func(s *state.Seen) error { return s.Claim(x.plan, x.states[6]) }},
		{"a state that wasn't seen", state.OlderState, false, func(s *state.Seen) error { return s.Claim(x.plan, x.states[7]) }},
		{"another plan's state", state.AnotherPlan, false, func(s *state.Seen) error { return s.Claim(x.plan, z.states[12]) }},
		{"other words", state.OtherState, false, func(s *state.Seen) error {
			other.Step = x.states[10].Step
			if x.states[10].Wants == state.Words {
				t.Fatal("record 10 asks for words by itself")
			}
			other.Step = stepWithWords(x)
			return s.Claim(x.plan, other)
		}},
		{"a chain of another run", state.AnotherHead, false, func(s *state.Seen) error { return s.Link(x.plan, y.chain(t, 0, 14)) }},
		{"a chain of another run that begins after all that was seen", state.BrokenChain, false, func(s *state.Seen) error { return s.Link(x.plan, y.chain(t, 11, 14)) }},
		{"another plan's chain", state.AnotherPlan, false, func(s *state.Seen) error { return s.Link(x.plan, z.chain(t, 0, 14)) }},
		{"a chain that ends earlier, where nothing was shown", state.OlderState, false, func(s *state.Seen) error { return s.Link(x.plan, x.chain(t, 0, 8)) }},
		{"another run's transcript", state.AnotherHead, false, func(s *state.Seen) error { _, err := s.Replay(x.plan, "t", y.transcript(14)); return err }},
		{"an older transcript", state.OlderState, false, func(s *state.Seen) error { _, err := s.Replay(x.plan, "t", x.transcript(8)); return err }},
		{"another plan's transcript", state.AnotherPlan, false, func(s *state.Seen) error { _, err := s.Replay(x.plan, "t", z.transcript(14)); return err }},
		{"a transcript without a record", state.BrokenChain, false, func(s *state.Seen) error {
			_, err := s.Replay(x.plan, "t", append(x.transcript(9), x.records[10].Line()...))
			return err
		}},
	} {
		s := seen()
		r := refusedAs(t, c.show(s), c.name)
		if r.Known != c.known {
			t.Errorf("%s: known %v", c.what, r.Known)
		}
		if last, _, _ := s.Last(); last != x.states[10] || len(s.Points) != 3 {
			t.Errorf("%s: it is taken", c.what)
		}
		kept, err := state.ParseSeen("seen", s.Encode(), x.plan)
		if err != nil || len(kept.Alarms) == 1 == c.known || !c.known && (kept.Alarms[0].Name != c.name || kept.Alarms[0].After != 10) {
			t.Errorf("%s: %v, the alarms kept are %+v", c.what, err, kept.Alarms)
		}
	}
	if _, err := state.ParseSeen("seen", seen().Encode(), z.plan); err == nil || !strings.Contains(err.Error(), "another plan") {
		t.Errorf("what was seen of one plan is taken for another: %v", err)
	}
}

// stepWithWords is a step in which words are read aloud, and not the first.
func stepWithWords(x *told) int {
	for _, s := range x.states[10:] {
		if s.Wants == state.Words {
			return s.Step
		}
	}
	return 0
}

// A key's words that were shown here and aren't the record's are found once the
// transcript is there: the machine had shown the words of another key.
func TestWordsOfAKeyThatIsNotOnTheRecordAreFound(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "words"), "run")
	n := 10
	for x.states[n].Wants != state.Words {
		n++
	}
	lie := x.states[n]
	lie.Subject[0] ^= 1
	s := state.NewSeen(x.plan)
	if err := s.Claim(x.plan, lie); err != nil {
		t.Fatal(err)
	}
	_, err := s.Replay(x.plan, "t", x.transcript(n+2))
	refusedAs(t, err, state.OtherState)
	lie.Step = len(x.plan.Steps())
	refusedAs(t, state.NewSeen(x.plan).Claim(x.plan, lie), state.NotOfPlan)
	lie = x.states[2]
	lie.Subject[0] ^= 1
	refusedAs(t, state.NewSeen(x.plan).Claim(x.plan, lie), state.AnotherPlan)
}

func TestAChainThatIsNoneIsRefused(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "chains"), "run")
	good := string(x.chain(t, 3, 9).Encode())
	for what, c := range map[string][2]string{
		"another head before":     {"\nhead ", "\nhead 00"},
		"another number":          {"after 3", "after 2"},
		"a first that is none":    {"after 3", "after 0"},
		"far too many":            {"after 3", "after 9999"},
		"an unknown kind":         {" inventory ", " inventar "},
		"a record of another day": {"2026-11-21T10", "2026-11-22T10"},
		"no state":                {"state ", "stat "},
		"another format":          {"chain v1", "chain v2"},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		if what == "another head before" {
			at := strings.Index(good, "\nhead ") + 6
			text = good[:at] + strings.Repeat("ab", 32) + good[at+64:]
		}
		if text == good {
			t.Fatalf("%s: nothing is changed in\n%s", what, good)
		}
		if _, err := state.ParseChain("chain", []byte(text)); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if _, err := state.ParseChain("chain", []byte(good[:strings.Index(good, "state ")])); err == nil {
		t.Error("a chain that is cut off is taken")
	}
	if _, err := state.ParseChain("chain", make([]byte, 2<<20)); err == nil {
		t.Error("a chain of any size is read")
	}
}

func TestWhatIsNotKeptByAScreenIsRefused(t *testing.T) {
	x := ceremonyOf(t, prepared(t, "kept"), "run")
	s := state.NewSeen(x.plan)
	for _, n := range []int{3, 6} {
		if err := s.Claim(x.plan, x.states[n]); err != nil {
			t.Fatal(err)
		}
	}
	good := string(s.Encode())
	for what, c := range map[string][2]string{
		"an unknown way":     {`"claimed"`, `"sworn"`},
		"a state that isn't": {state.Prefix, state.Prefix + "A"},
		"another order":      {x.states[6].String(), x.states[2].String()},
		"another format":     {"second-screen v1", "second-screen v2"},
		"an empty alarm":     {`"alarms": []`, `"alarms": [{"name": "", "text": "", "after": 0}]`},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		if text == good {
			t.Fatalf("%s: nothing is changed", what)
		}
		if _, err := state.ParseSeen("seen", []byte(text), x.plan); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
