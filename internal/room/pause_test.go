package room

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// roomAt is a room at whose terminal some lines are typed.
func roomAt(t *testing.T, typed string) (*Room, *strings.Builder) {
	t.Helper()
	var screen strings.Builder
	out, err := ui.New(ui.Options{Stdin: strings.NewReader(typed), Stderr: &screen, Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return &Room{App: &cli.App{UI: out}, StandIn: &session.StandIn{}}, &screen
}

// TestAnExceptionIsTakenBackAtEveryQuestion: nothing is recorded before somebody has
// seen what will be, and has had it written.
func TestAnExceptionIsTakenBackAtEveryQuestion(t *testing.T) {
	answers := []string{"a seal", "none", "to go on", "write"}
	for n := range answers {
		for _, word := range []string{"back", "Back.", "exception", "adjourn"} {
			r, screen := roomAt(t, strings.Join(append(answers[:n:n], word), "\n")+"\n")
			if e, err := r.raise(); e != nil || err != nil {
				t.Errorf("%s at question %d: %+v, %v", word, n+1, e, err)
			}
			if !strings.Contains(screen.String(), "was taken back") && !strings.Contains(screen.String(), "was not recorded") {
				t.Errorf("%s at question %d: %s", word, n+1, screen)
			}
		}
	}
	r, screen := roomAt(t, "a seal\nnone\nto go on\nyes\nwrite\n")
	e, err := r.raise()
	if err != nil || e == nil || e.Expected != "a seal" || e.Happened != "none" || e.Decided != "to go on" {
		t.Fatalf("%+v, %v", e, err)
	}
	shown, _, _ := strings.Cut(screen.String(), "Type \"write\"")
	for _, text := range []string{"will be on the record", "expected   a seal", "happened   none", "decided    to go on"} {
		if !strings.Contains(shown, text) {
			t.Errorf("it doesn't show %q before it is written: %s", text, shown)
		}
	}
}

// TestAnAdjournmentIsTakenBackAtEveryQuestion, and its seals are refused where two HSMs
// would be under one.
func TestAnAdjournmentIsTakenBackAtEveryQuestion(t *testing.T) {
	a := ceremony.NewAccount(&ceremony.Plan{Mode: ceremony.Production, HSMs: []ceremony.PlanHSM{{Name: "hsm-1"}, {Name: "hsm-2"}}})
	answers := []string{"for the night", "4471", "4472", "write"}
	for n := range answers {
		r, _ := roomAt(t, strings.Join(append(answers[:n:n], "back"), "\n")+"\n")
		if _, err := r.adjournment(a); !errors.Is(err, errBack) {
			t.Errorf("at question %d: %v", n+1, err)
		}
	}
	r, screen := roomAt(t, "for the night\n4471\n44 71\n\n4472\nwrite\n")
	x, err := r.adjournment(a)
	if err != nil || len(x.Seals) != 2 || x.Seals[1].Number != "4472" {
		t.Fatalf("%+v, %v", x, err)
	}
	if s := screen.String(); !strings.Contains(s, "The number 44 71 is that of the seal of hsm-1") || !strings.Contains(s, "Something has to be typed here.") {
		t.Error(s)
	}
}
