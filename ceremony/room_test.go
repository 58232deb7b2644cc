package ceremony_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// How many HSMs fit into 65,535 bytes, by the algorithm of a role of Ed25519's plan,
// and that the plan with as many is taken and one with one more refused.
func TestAPlanKnowsHowManyHSMsABundleHasRoomFor(t *testing.T) {
	good := string(testfleet.Prepared(t, testfleet.Options{}).Plan.Raw())
	of := func(algorithm string, hsms int) string {
		text := strings.Replace(good, "algorithm: ed25519", "algorithm: "+algorithm, 1)
		list := ""
		for i := range hsms {
			list += fmt.Sprintf("  - {name: h-%02d, site: lab, serial: \"%d\"}\n", i, 1000+i)
		}
		from, to := strings.Index(text, "  - name: hsm-1"), strings.Index(text, "\n# Every HSM gets")
		return strings.Replace(text[:from]+list+text[to:], "majority: 2", fmt.Sprintf("majority: %d", hsms/2+1), 1)
	}
	for algorithm, want := range map[string]int{"ml-dsa-44": 24, "ml-dsa-65": 17, "ml-dsa-87": 13, "rsa-3072": 68} {
		p, err := ceremony.ParsePlan("plan.yaml", []byte(of(algorithm, 3)))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Room(); got != want {
			t.Errorf("%s: room for %d HSMs, want %d", algorithm, got, want)
		}
		if _, err := ceremony.ParsePlan("plan.yaml", []byte(of(algorithm, want))); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		_, err = ceremony.ParsePlan("plan.yaml", []byte(of(algorithm, want+1)))
		if says := fmt.Sprintf("which of these roles is enough for %d of the %d HSMs", want, want+1); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}
