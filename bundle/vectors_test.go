package bundle_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// Bundles that are read, and bundles that are judged under a policy.
func TestBundleVectors(t *testing.T) {
	set := testvectors.NewSet("bundle")
	cases, data := bundle.ReadVectors(t)
	for i, c := range cases {
		set.Add(t, c, testvectors.Part{Part: "bundle", Name: "bundle.json", Data: data[i]})
	}
	log := bundle.LogPolicy()
	set.Share("log.policy", []byte(log)) // of the examples
	policies := map[string][]byte{bundle.PolicyPlain: bundle.TrustPolicy(""), bundle.PolicyLog: bundle.TrustPolicy(log), bundle.PolicyHybrid: bundle.HybridPolicy()}
	at := map[string]string{}
	for name, text := range policies {
		at[name] = set.Share(name, text)
	}
	for _, v := range bundle.JudgedVectors(t) {
		c := testvectors.Case{Name: v.Name, What: v.What, Verdict: testvectors.Accept, Reason: v.Want, With: map[string]string{"time": strict.FormatTime(bundle.JudgedAt)}, Claims: map[string]string{}}
		if v.Want != "" {
			c.Verdict = testvectors.Reject
		}
		p, err := evidence.ParsePolicy("policy.yaml", policies[v.Policy])
		if err != nil {
			t.Fatal(err)
		}
		r, err := evidence.Verify(evidence.Input{File: "bundle.json", Data: v.Bundle, Proof: v.Proof}, p, evidence.Question{Now: bundle.JudgedAt, Expect: evidence.TypeBundle})
		if err != nil {
			t.Fatal(err)
		}
		for _, claim := range r.Claims {
			if claim.Grade != evidence.NotShown {
				c.Claims[claim.Name] = claim.Grade.String()
			}
			if claim.Short() {
				c.NotShown = append(c.NotShown, claim.Name)
			}
		}
		set.Add(t, c, testvectors.Part{Part: "bundle", Name: "bundle.json", Data: v.Bundle},
			testvectors.Part{Part: "policy", At: at[v.Policy]}, testvectors.Part{Part: "proof", Name: "bundle.json.tlog-proof", Data: v.Proof})
	}
	set.Check(t)
}
