package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// Policies, each with one fault at most, for implementations of other makers.
func TestPolicyVectors(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "vector policy", HSMs: 1})
	set, good := testvectors.NewSet("policy"), string(f.Policy)
	set.Add(t, testvectors.Case{Name: "good", What: "nothing", Verdict: testvectors.Accept}, testvectors.Part{Part: "policy", Name: "policy.yaml", Data: f.Policy})
	for _, c := range policyFaults(good) {
		text := strings.Replace(good, c.old, c.new, 1)
		if _, err := evidence.ParsePolicy("policy.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		set.Add(t, testvectors.Case{Name: c.name, What: strings.ReplaceAll(c.name, "-", " "), Verdict: testvectors.Reject, Reason: c.want},
			testvectors.Part{Part: "policy", Name: "policy.yaml", Data: []byte(text)})
	}
	set.Check(t)
}
