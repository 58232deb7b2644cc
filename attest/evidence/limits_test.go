package evidence_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A bundle is judged by what a bundle can show where nobody says what is expected, and
// what the policy demands of a package is named as not asked of it.
func TestABundleIsJudgedAsOneWithoutBeingTold(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "limits"})
	policy := string(f.Policy)
	in := evidence.Input{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}
	judge := func(in evidence.Input, policy string, q evidence.Question) *evidence.Report {
		q.Now = f.Now()
		return must(evidence.Verify(in, must(evidence.ParsePolicy("policy.yaml", []byte(policy))), q))
	}
	r := judge(in, policy, evidence.Question{})
	if !r.Verified || r.Demanded == 0 {
		t.Fatalf("an honest bundle is not verified: %s", says(r))
	}
	told := judge(in, policy, evidence.Question{Expect: evidence.TypeBundle})
	if told.Demanded != r.Demanded || !slices.Equal(told.NotAsked, r.NotAsked) {
		t.Errorf("told that it is a bundle, %d are demanded, and %d without; not asked %v", told.Demanded, r.Demanded, told.NotAsked)
	}
	all := slices.DeleteFunc(must(evidence.ParsePolicy("policy.yaml", []byte(policy))).Demands, func(d evidence.Demand) bool {
		return d.Claim == evidence.ClaimAbortSigned // asked of aborted ceremonies alone
	})
	if len(r.NotAsked) == 0 || len(r.NotAsked)+r.Demanded != len(all) {
		t.Errorf("of %d demands %d were asked, and %v were not", len(all), r.Demanded, r.NotAsked)
	}
	for _, name := range r.NotAsked {
		if c := r.Claim(name); c.Grade != evidence.NotShown || c.Least != evidence.NotShown {
			t.Errorf("%s was not asked, and is %s where %s is demanded", name, c.Grade, c.Least)
		}
	}
	if !slices.Contains(r.NotAsked, evidence.ClaimPossession) {
		t.Errorf("key.possession is not named as not asked: %v", r.NotAsked)
	}
	if text := string(r.JSON()); !strings.Contains(text, `"not_asked": [`) || !strings.Contains(text, `"object": "bundle"`) {
		t.Errorf("the JSON does not say it: %s", text)
	}

	// What was asked for by name stays asked.
	if r := judge(in, policy, evidence.Question{Only: []string{evidence.ClaimPossession}}); r.Verified || slices.Contains(r.NotAsked, evidence.ClaimPossession) {
		t.Error("a bundle passes for the claim of a package that was asked for by name")
	}
	if r := judge(in, policy, evidence.Question{Expect: evidence.TypeEvidence}); r.Verified {
		t.Error("a bundle passes where a package is expected")
	}
	// A policy that demands little of bundles still wants third parties and operator.
	head, _, _ := strings.Cut(policy, "\nclaims:")
	few := head + "\nclaims:\n  mode: proven\n  key.possession: proven\n"
	if r := judge(in, few, evidence.Question{}); !r.Verified || r.Claim(evidence.ClaimStatement).Least != evidence.Proven || r.Claim(evidence.ClaimCountersigned).Least != evidence.Proven {
		t.Errorf("statement and countersignature are not demanded of a bundle: %s", says(r))
	}
	// Nor is it taken where a package was asked for by its name.
	instead := in
	instead.File = "epochs/7/EVIDENCE.tar"
	if r := judge(instead, policy, evidence.Question{}); r.Verified || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, "has the name of an evidence package") {
		t.Errorf("a bundle in the place of a package: %s", says(r))
	}
	if r := judge(instead, policy, evidence.Question{Expect: evidence.TypeBundle}); !r.Verified {
		t.Errorf("a bundle under that name, asked for: %s", says(r))
	}
	in.Proof = nil
	if r := judge(in, policy, evidence.Question{}); r.Verified {
		t.Error("verified without the log's proof, which the policy demands and a bundle can show")
	}
	// Of other objects everything is asked.
	for name, in := range map[string]evidence.Input{
		"statement":  {File: "s.json", Data: f.Response.Raw()},
		"transcript": {File: "transcript.jsonl", Data: f.Transcript(), Plan: f.Plan.Raw()},
	} {
		if r := judge(in, policy, evidence.Question{}); r.Verified || r.NotAsked != nil {
			t.Errorf("a %s is verified where nobody said that one is expected", name)
		}
	}
}

// Each claim is either demanded, or named with why the verdict doesn't rest on it.
func TestWhatAVerdictDoesNotSayIsNamed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "limits"})
	head, _, _ := strings.Cut(string(f.Policy), "\nclaims:")
	p := must(evidence.ParsePolicy("policy.yaml", []byte(head+"\nclaims:\n  key.possession: proven\n  key.generated: device\n")))
	for _, in := range []evidence.Input{
		{File: "evidence.tar", Data: f.Archive},
		{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]},
	} {
		r := must(evidence.Verify(in, p, evidence.Question{Now: f.Now()}))
		if !r.Verified {
			t.Fatalf("%s: %s", in.File, says(r))
		}
		rest := r.Rest()
		var named []string
		for _, list := range [][]string{r.NotAsked, rest.Undemanded, rest.Silent} {
			named = append(named, list...)
		}
		for _, c := range r.Claims {
			if times := count(named, c.Name); (times == 1) == (c.Least > evidence.NotShown) || times > 1 {
				t.Errorf("%s: %s, where %s is demanded, is named %d times", in.File, c.Name, c.Least, times)
			}
			if slices.Contains(rest.OwnWord, c.Name) != (c.Grade == evidence.Device) {
				t.Errorf("%s: %s is %s, and what nobody could check is %v", in.File, c.Name, c.Grade, rest.OwnWord)
			}
		}
	}
}

func count(list []string, name string) (n int) {
	for _, x := range list {
		if x == name {
			n++
		}
	}
	return n
}
