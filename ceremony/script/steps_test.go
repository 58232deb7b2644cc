package script_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// walk replays a transcript and gives the steps that its records went through.
func walk(t *testing.T, f *testfleet.Fleet) []string {
	t.Helper()
	tr, err := ceremony.ParseTranscript("transcript", f.Transcript(), f.Plan.Digest())
	if err != nil {
		t.Fatal(err)
	}
	a := ceremony.NewAccount(f.Plan)
	var steps []string
	last := 0
	for _, r := range tr.Records {
		if n := a.StepNumber(); n != last {
			s, _ := a.Next()
			steps, last = append(steps, s.Title()), n
		}
		if err := a.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	return steps
}

// TestTheScriptIsWhatHappens: the plan's scripted steps are those of a real
// transcript, in its order, and each step's script names the records it left.
func TestTheScriptIsWhatHappens(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{
		HSMs: 2, Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "backup", Algorithm: keys.P256}},
		Lockdown: []string{"Bag the HSMs", "Shred the cards"},
	})
	var planned []string
	for _, s := range f.Plan.Steps() {
		planned = append(planned, s.Title())
		text := script.InstructionsFor(f.Plan, s)
		for _, k := range s.Leaves {
			if !strings.Contains(text.Leaves[0], string(k)) {
				t.Errorf("%s: the script doesn't say that it leaves a record %q", s.Title(), k)
			}
		}
	}
	if happened := walk(t, f); !slices.Equal(planned, happened) {
		t.Errorf("planned  %q\nhappened %q", planned, happened)
	}
}

// stepCommands are those that the room makes needless.
var stepCommands = regexp.MustCompile(`fleetctl (?:ceremony (?:run|resume|sign|exception|adjourn|reconvene|lockdown|close)|bundle (?:build|request|import|countersign|assemble))\b|fleetctl log append DIR\b`)

// TestTheScriptIsTheRooms: it begins with the room's command, names no step's own, and
// says what is typed for each act that officers approve and each stage.
func TestTheScriptIsTheRooms(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Lockdown: []string{"Bag the HSM", "login-refused hsm-1"}})
	said := map[ceremony.Act]string{}
	for i, s := range f.Plan.Steps() {
		t1 := script.InstructionsFor(f.Plan, s)
		text := ""
		for _, part := range slices.Concat(t1.Do, t1.Say, t1.Confirm) {
			text += part.Text + "\n"
		}
		if c := stepCommands.FindString(text); c != "" {
			t.Errorf("%s: the script names %q, and people are in the room:\n%s", s.Title(), c, text)
		}
		if begins := strings.Contains(text, script.Room("DIR")); begins != (i == 0) {
			t.Errorf("%s: the room is begun: %t", s.Title(), begins)
		}
		if said[s.Act] == "" { // the first HSM's says what is approved
			said[s.Act] = text
		}
	}
	for act, want := range map[ceremony.Act]string{
		ceremony.ActUnlock: `"` + script.Consent(ceremony.ApproveOpen) + `"`, ceremony.ActRequest: `"` + script.Consent(ceremony.ApproveRequest) + `"`,
		ceremony.ActCountersign: `"` + script.Consent(ceremony.ApproveCountersign) + `"`,
		ceremony.ActRelease:     `"agree", "agree with exceptions" or "do not agree"`, ceremony.ActClose: `"agree", "agree with exceptions" or "do not agree"`,
	} {
		if !strings.Contains(said[act], want) {
			t.Errorf("%s: the script doesn't say that %s is typed:\n%s", act, want, said[act])
		}
	}
	text, err := script.Print(f.Plan, "")
	if err != nil {
		t.Fatal(err)
	}
	if c := stepCommands.FindString(string(text.Text())); c != "" {
		t.Errorf("a page beside the steps names %q", c)
	}
}

// TestEveryStepAfterTheRunHasACommandOfItsOwn: for scripts, and beside the room.
func TestEveryStepAfterTheRunHasACommandOfItsOwn(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, Lockdown: []string{"Bag the HSM"}})
	tr, err := ceremony.ParseTranscript("transcript", f.Transcript(), f.Plan.Digest())
	if err != nil {
		t.Fatal(err)
	}
	a := ceremony.NewAccount(f.Plan)
	commands := map[string]bool{}
	for _, r := range tr.Records {
		if next := script.Next(a, "DIR"); next != "" {
			commands[next] = true
		}
		if err := a.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	if next := script.Next(a, "DIR"); next != "" || len(commands) != 8 {
		t.Errorf("after the close comes %q; before it came %d commands: %v", next, len(commands), commands)
	}
}

// Wherever a ceremony was left, somebody who comes back to it is told what to type.
func TestWhereverACeremonyStandsItSaysHowToGoOn(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, Lockdown: []string{"Bag the HSM"}})
	tr, err := ceremony.ParseTranscript("transcript", f.Transcript(), f.Plan.Digest())
	if err != nil {
		t.Fatal(err)
	}
	a := ceremony.NewAccount(f.Plan)
	at := func(want string) {
		t.Helper()
		next := script.Next(a, "DIR")
		if next != "" {
			want = next
		}
		if got := script.Continue(a, "DIR"); got == "" || got != want {
			t.Errorf("after record %d: %q, want %q", a.N, got, want)
		}
	}
	for _, r := range tr.Records {
		want := "fleetctl ceremony run PLAN --site SITE --dir DIR"
		if a.Opened() {
			want = "fleetctl ceremony resume DIR --site SITE"
		}
		at(want)
		if err := a.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	at("fleetctl evidence pack DIR --out evidence.tar")
}

func TestEveryStepHasItsScript(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Lockdown: []string{"Bag the HSMs", "login-refused hsm-1"}})
	steps := f.Plan.Steps()
	total, before := script.Minutes(f.Plan)
	sum := 0
	for i, s := range steps {
		p := script.InstructionsFor(f.Plan, s)
		if p.Title == "" || p.Minutes < 1 || len(p.Before) == 0 || len(p.Do) == 0 || len(p.Confirm) == 0 || len(p.Leaves) == 0 || len(p.Blanks) == 0 || len(p.Initial) == 0 {
			t.Errorf("step %d, %s: the script leaves something open: %+v", i+1, s.Title(), p)
		}
		if before[i] != sum {
			t.Errorf("step %d begins after %d minutes, not %d", i+1, before[i], sum)
		}
		sum += p.Minutes
	}
	if total != sum {
		t.Errorf("the whole takes %d minutes, its steps %d", total, sum)
	}
}
