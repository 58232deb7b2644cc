package draft_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What a plan says of its keys' attributes is rehearsed too, in its order.
func TestARehearsalAsksForTheAttributesOfItsPlan(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	text := strings.Replace(string(f.Plan.Raw()), "algorithm: ed25519", "algorithm: ed25519\n    attributes:\n      DESTROYABLE: required true\n      COPYABLE: if-supported false", 1)
	p, err := ceremony.ParsePlan("plan.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(draft.Rehearsal(p).Roles[0].Attributes), "[[DESTROYABLE required true] [COPYABLE if-supported false]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, e := range p.Roles[0].Expect() {
		if e.Name == "DESTROYABLE" && !e.Required {
			t.Error("what the plan says of DESTROYABLE isn't expected of the key")
		}
	}
}
