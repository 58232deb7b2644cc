package ceremony_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestAnImpossibleOrderDoesNotCheck: of a plan's steps none can be left out, and
// none done before what it rests on. What may be swapped is listed here, and is
// what two people could do at two ends of a table.
func TestAnImpossibleOrderDoesNotCheck(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{
		HSMs: 2, Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "backup", Algorithm: keys.P256}},
		Lockdown: []string{"Bag the HSMs", "login-refused hsm-1"},
	})
	steps := f.Plan.Steps()
	if faults := ceremony.OrderFaults(f.Plan, steps); len(faults) > 0 {
		t.Fatalf("the plan's own order: %q", faults)
	}
	refused := func(how string, list []ceremony.Step) {
		t.Helper()
		faults := ceremony.OrderFaults(f.Plan, list)
		if len(faults) == 0 || !strings.Contains(faults[0], "can't be done: it needs that ") {
			t.Errorf("%s: %q", how, faults)
		}
	}
	apart := func(x, y ceremony.Step) bool {
		inHSM := func(s ceremony.Step) bool {
			return s.Act == ceremony.ActIntake || s.Act == ceremony.ActUnlock || s.Act == ceremony.ActGenerate
		}
		return inHSM(x) && inHSM(y) && (x.HSM != y.HSM || x.Act == ceremony.ActGenerate && y.Act == ceremony.ActGenerate)
	}
	swapped := 0
	for i, s := range steps[:len(steps)-1] {
		refused("without "+s.Title(), slices.Delete(slices.Clone(steps), i, i+1))
		refused(s.Title()+" at the end", append(slices.Delete(slices.Clone(steps), i, i+1), s))
		next := steps[i+1]
		list := slices.Clone(steps)
		list[i], list[i+1] = list[i+1], list[i]
		if apart(s, next) {
			swapped++
			if faults := ceremony.OrderFaults(f.Plan, list); len(faults) > 0 {
				t.Errorf("%s before %s: %q", next.Title(), s.Title(), faults)
			}
			continue
		}
		refused(next.Title()+" before "+s.Title(), list)
	}
	if swapped != 5 { // intake|intake, intake|unlock, 2 generate|generate, generate|unlock
		t.Errorf("%d neighbours may change places", swapped)
	}
}
