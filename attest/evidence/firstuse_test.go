package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A policy made from the package that it judges agrees with any package. Nothing
// is verified under it unless the question says that first use will do.
func TestNothingIsVerifiedByKeysThatNobodyConfirmed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "first use"})
	inputs := map[evidence.Type]evidence.Input{
		evidence.TypeEvidence: {File: "evidence.tar", Data: f.Archive},
		evidence.TypeBundle:   {File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]},
	}
	judge := func(in evidence.Input, policy []byte, firstUse bool) *evidence.Report {
		p := must(evidence.ParsePolicy("policy.yaml", policy))
		return must(evidence.Verify(in, p, evidence.Question{Now: f.Now(), Expect: evidence.Type(""), TrustOnFirstUse: firstUse, Only: []string{evidence.ClaimStatement}}))
	}
	taken := must(planned.NewPolicy(f.Plan, "", nil))
	confirmed := string(f.Policy)
	const word = "confirmed: \"made by the test\"\n"
	policies := map[string][]byte{"none confirmed": taken}
	for i := range strings.Count(confirmed, word) {
		at := 0
		for range i {
			at += strings.Index(confirmed[at:], word) + len(word)
		}
		at += strings.Index(confirmed[at:], word)
		start := strings.LastIndex(confirmed[:at], "\n") + 1
		policies["all but one"+strings.Repeat("+", i)] = []byte(confirmed[:start] + confirmed[at+len(word):])
		policies["all but a blank one"+strings.Repeat("+", i)] = []byte(confirmed[:at] + "confirmed: \"  \"\n" + confirmed[at+len(word):])
	}
	if len(policies) != 1+2*8 {
		t.Fatalf("%d policies", len(policies))
	}
	for what, in := range inputs {
		for name, policy := range policies {
			r := judge(in, policy, false)
			if r.Verified || !r.Met() || strings.Contains(string(r.JSON()), `"verified": true`) || len(r.Policy.Unpinned()) == 0 {
				t.Errorf("%s under a policy with %s: verified %t, met %t", what, name, r.Verified, r.Met())
			}
			if r = judge(in, policy, true); !r.Verified || !strings.Contains(string(r.JSON()), `"trust_on_first_use": true`) {
				t.Errorf("%s under a policy with %s, on first use: %+v", what, name, r.Problems)
			}
		}
		if r := judge(in, f.Policy, false); !r.Verified || !strings.Contains(string(r.JSON()), `"trust_on_first_use": false`) {
			t.Errorf("%s, each key confirmed: %+v", what, r.Problems)
		}
	}
}
