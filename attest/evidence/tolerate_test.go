package evidence_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// What a plan tolerates is for each verifier to take or not: a policy made from
// the plan takes nothing by itself.
func TestATolerancePassesOnlyUnderAPolicyThatTakesIt(t *testing.T) {
	both := []string{token.TryRelaxExtractable, token.TryRelaxSensitive}
	f := testfleet.New(t, testfleet.Options{Tolerates: both, Tokens: func(l []*testfleet.Token) {
		l[0].OnRelaxed = func(*token.Relaxed) {}
	}})
	told := "relax-extractable in hsm-1, relax-sensitive in hsm-1"
	judge := func(tolerates []string) (*evidence.Policy, *evidence.Report) {
		p := must(evidence.ParsePolicy("policy.yaml", must(planned.NewPolicy(f.Plan, "a test", tolerates))))
		return p, must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: f.Now()}))
	}
	p, r := judge(both)
	c := r.Claim(evidence.ClaimNonexportable)
	if !r.Verified || c.Grade != evidence.Device || !strings.Contains(c.Detail, "tolerated, as plan and policy say: "+told) {
		t.Errorf("verified %t, %s: %s", r.Verified, c.Grade, c.Detail)
	}
	if err := p.CheckPlan(f.Plan); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		tolerates []string
		left      string
	}{{nil, told}, {both[:1], "relax-sensitive in hsm-1"}, {both[1:], "relax-extractable in hsm-1"}} {
		p, r := judge(c.tolerates)
		if r.Verified || len(r.Problems) > 0 {
			t.Errorf("%v: verified %t, problems %v", c.tolerates, r.Verified, r.Problems)
		}
		for _, name := range []string{evidence.ClaimNonexportable, evidence.ClaimFleetChecked} {
			got := r.Claim(name)
			if got.Grade != evidence.NotShown || got.Detail != c.left+" succeeded; the plan tolerates it, the policy does not" || got.Next == "" {
				t.Errorf("%v: %s is %s: %s", c.tolerates, name, got.Grade, got.Detail)
			}
		}
		if got := r.Claim(evidence.ClaimPossession); got.Grade != evidence.Proven {
			t.Errorf("%v: possession is %s", c.tolerates, got.Grade)
		}
		if err := p.CheckPlan(f.Plan); err == nil || !strings.Contains(err.Error(), "does not take what the plan tolerates: "+c.left) {
			t.Errorf("%v: a ceremony may begin: %v", c.tolerates, err)
		}
	}
	// The transcript alone says it too.
	p, _ = judge(nil)
	in := evidence.Input{File: "transcript.jsonl", Data: f.Transcript(), Plan: f.Plan.Raw()}
	r = must(evidence.Verify(in, p, evidence.Question{Now: f.Now()}))
	if got := r.Claim(evidence.ClaimNonexportable); got.Grade != evidence.NotShown || !strings.HasPrefix(got.Detail, told) {
		t.Errorf("the transcript: %s: %s", got.Grade, got.Detail)
	}
	if text := must(planned.NewPolicy(f.Plan, "", nil)); !bytes.Contains(text, []byte("# The plan tolerates "+told)) || !bytes.Contains(text, []byte("\n# tolerates: [")) {
		t.Errorf("a policy of the plan doesn't say what it doesn't take:\n%s", text)
	}
}

func TestAPolicyToleratesNothingElse(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	for list, want := range map[string]string{
		"[copy-extractable]":                 `tolerates "copy-extractable"; only relax-extractable and relax-sensitive can be tolerated`,
		"[relax-sensitive, relax-sensitive]": `tolerates "relax-sensitive" twice`,
		"[]":                                 "tolerates nothing",
	} {
		_, err := evidence.ParsePolicy("policy.yaml", append(bytes.Clone(f.Policy), "tolerates: "+list+"\n"...))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "policy.yaml:") {
			t.Errorf("%s: %v, want %q", list, err, want)
		}
	}
}
