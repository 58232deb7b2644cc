package screen_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// atStep is a state by a room's plan in which the next record belongs to an act's step.
func (x *room) atStep(act ceremony.Act, wants state.Wants) state.State {
	x.t.Helper()
	at := x.states[len(x.states)-1]
	for i, s := range x.plan.Steps() {
		if s.Act == act {
			at.Record, at.Head, at.Step, at.Wants, at.Subject = at.Record+9, [32]byte{7}, i+1, wants, [32]byte{}
			return at
		}
	}
	x.t.Fatalf("the plan has no step %s", act)
	return at
}

func TestWhileVerdictsAreGivenTheSecondScreenShowsTheirStep(t *testing.T) {
	x := held(t, "verdicts", "run", keys.Ed25519)
	at := x.atStep(ceremony.ActRequest, state.Records)
	text, _, _ := auditor(t).types(t, x, at.String())
	text = strings.Join(strings.Fields(text), " ")
	wants(t, text, "· release: verdicts")
	if strings.Contains(text, "nothing but listen and look") {
		t.Errorf("it says that the auditor does nothing\n%s", text)
	}
	release := x.plan.Steps()[at.Step-2]
	for _, part := range script.InstructionsFor(x.plan, release).Do {
		if part.Who == ceremony.Auditor {
			wants(t, text, strings.Join(strings.Fields(part.Text), " "))
		}
	}
	closed := x.atStep(ceremony.ActClose, state.Closed)
	closed.Step++
	text, _, _ = auditor(t).types(t, x, closed.String())
	wants(t, text, "The ceremony is closed; read it and sign the close.")
}

func TestAnAlarmInAFolderThatWasUsedBeforeNamesTheFolder(t *testing.T) {
	x, other := held(t, "two", "run", keys.Ed25519), held(t, "two", "another", keys.Ed25519)
	s := auditor(t)
	n := len(x.states) - 1
	lie := other.states[n].String()
	text, _, _ := s.types(t, x, x.states[n].String(), lie)
	wants(t, text, "the machine shows two pasts")
	if strings.Contains(text, "another ceremony") {
		t.Errorf("a folder that is new is doubted\n%s", text)
	}
	text, _, _ = s.types(t, x, lie)
	text = strings.Join(strings.Fields(text), " ")
	wants(t, text, "the machine shows two pasts; or "+s.dir+" is from another ceremony, which was seen up to record ")
}
