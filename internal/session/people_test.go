package session

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// TestAWrongTimeIsNotToldTheRightOne: whoever reads the wall must read it.
func TestAWrongTimeIsNotToldTheRightOne(t *testing.T) {
	var screen strings.Builder
	out, err := ui.New(ui.Options{Stdin: strings.NewReader("09:00\n14:58\n"), Stderr: &screen, Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 14, 59, 0, 0, time.UTC)
	wall, _, err := newAtTerminal(&cli.App{UI: out}).Clock(t.Context(), func() time.Time { return at })
	if err != nil || wall.Format("15:04") != "14:58" {
		t.Errorf("%v, %v", wall, err)
	}
	if strings.Contains(screen.String(), "14:59") || !strings.Contains(screen.String(), "more than 2 minutes from") {
		t.Errorf("the screen is %q", screen.String())
	}
}

// TestTheWallsClockAroundMidnight: whoever reads the wall types no date, and
// the day may have changed in between.
func TestTheWallsClockAroundMidnight(t *testing.T) {
	for _, c := range [][3]string{
		{"2026-11-22T14:04:30Z", "14:05", "2026-11-22T14:05:00Z"},
		{"2026-11-22T00:00:20Z", "23:59", "2026-11-21T23:59:00Z"},
		{"2027-01-01T00:01:00Z", "23:59", "2026-12-31T23:59:00Z"},
		{"2026-11-21T23:59:40Z", "00:00", "2026-11-22T00:00:00Z"},
		{"2028-02-28T23:59:40Z", "00:01", "2028-02-29T00:01:00Z"},
		{"2026-11-22T00:00:00Z", "00:00", "2026-11-22T00:00:00Z"},
		{"2026-11-22T18:00:00Z", "06:00", "2026-11-22T06:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := nearest(at, c[1])
		if err != nil || got.Format(time.RFC3339) != c[2] {
			t.Errorf("%s at %s is %v, %v; want %s", c[1], c[0], got, err, c[2])
		}
	}
	for _, bad := range []string{"", "24:00", "12:60", "midnight", "12:00:00"} {
		if got, err := nearest(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// TestWordsAreHeardAsPeopleTypeThem: a challenge asks whether the right words were
// read on another screen, and not how neatly somebody types.
func TestWordsAreHeardAsPeopleTypeThem(t *testing.T) {
	list := words.Encode([]byte{0x82, 0x63, 0x4e, 0x11, 0x9a, 0x30})
	at := []int{1, 3, 5}
	right := []string{list[0], list[2], list[4]}
	for _, typed := range []string{
		strings.Join(right, " "), strings.Join(right, ", "), strings.Join(right, ",") + ".", strings.ToUpper(strings.Join(right, " ")), strings.Join(right, "s ") + "s",
	} {
		if wrong := wrongWord(list, at, words.Typed(typed)); wrong != "" {
			t.Errorf("%q: %s", typed, wrong)
		}
	}
	for typed, want := range map[string]string{
		"":                               "That is 0 words; 3 are asked for.",
		right[0]:                         "That is 1 word; 3 are asked for.",
		strings.Join(list[:3], " "):      `Word 3 is not "` + list[1] + `".`,
		right[0] + " " + right[1] + " x": `Word 5 is not "x".`,
	} {
		if got := wrongWord(list, at, words.Typed(typed)); got != want {
			t.Errorf("%q: %s", typed, got)
		}
	}
}

// TestAFileOfAnswersGoesOnInTheNextStep: each step of a room asks who answers, and the
// file is not begun anew.
func TestAFileOfAnswersGoesOnInTheNextStep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "answers.txt")
	if err := os.WriteFile(file, []byte("fleetctl answers v1\nfirst: one\nsecond: two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := ui.New(ui.Options{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	a := &cli.App{UI: out}
	s := StandIn{answers: file}
	for _, q := range [][2]string{{"first", "one"}, {"second", "two"}} {
		step := s // as a step has it
		if err := step.Use(a, ceremony.Rehearsal); err != nil {
			t.Fatal(err)
		}
		s.file = step.file
		a.UI.About(q[0], "")
		if got, err := a.UI.Ask("?"); err != nil || got != q[1] {
			t.Errorf("%s: %q, %v", q[0], got, err)
		}
	}
	if err := s.Over(nil); err != nil {
		t.Error(err)
	}
}

// TestThePlanIsCalledWhatItIsCalledHere: on the auditor's machine no file of another
// name is looked for.
func TestThePlanIsCalledWhatItIsCalledHere(t *testing.T) {
	for plan, want := range map[string]string{
		"plans/drill 2.yaml": "fleetctl words 'drill 2.yaml'",
		"":                   "fleetctl words PLAN",
	} {
		if _, own := (atTerminal{plan: plan}).readAloud(engine.Question{What: ceremony.ChallengePlan}); own != want {
			t.Errorf("%q: %s", plan, own)
		}
	}
}

// TestTheNumberOfAnotherSealIsReadAgain: whoever types the last HSM's number once more
// is told whose it is, before the second reader is asked.
func TestTheNumberOfAnotherSealIsReadAgain(t *testing.T) {
	var screen strings.Builder
	out, err := ui.New(ui.Options{Stdin: strings.NewReader("4471\n4472\n4472\n"), Stderr: &screen, Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(number string) error {
		if number == "4471" {
			return errors.New("the number 4471 is that of the seal of hsm-1")
		}
		return nil
	}
	number, _, _, err := newAtTerminal(&cli.App{UI: out}).Seal(t.Context(), "hsm-2", wrong)
	if err != nil || number != "4472" {
		t.Errorf("%q, %v", number, err)
	}
	if s := screen.String(); !strings.Contains(s, "The number 4471 is that of the seal of hsm-1") || strings.Count(s, "read again") != 1 {
		t.Errorf("the screen is %q", s)
	}
}
