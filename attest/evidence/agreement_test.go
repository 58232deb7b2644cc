package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What a key that agrees has shown is its challenger's word, and without one the
// device's.
func TestAnAgreementIsAttestedByWhoChallengedAndSigned(t *testing.T) {
	abe := ceremony.Person{Name: "abe", Role: ceremony.Auditor}
	both := []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.X25519}}
	for name, c := range map[string]struct {
		o    testfleet.Options
		edit func(policy string) string
		want evidence.Grade
		says string
	}{
		"ada challenged, and signed": {testfleet.Options{Challenger: "ada", Roles: both}, nil, evidence.Attested,
			"2 of 2 keys answered the challenge of ada, who signed the release off"},
		"the machine drew": {testfleet.Options{Roles: both}, nil, evidence.Device,
			"2 of 2 keys answered; nobody challenged the one of hsm-1 sealing"},
		"abe challenged, and was away for the release": {testfleet.Options{Challenger: "abe", Onlookers: []ceremony.Person{abe}, Away: []string{"abe"}, Roles: both}, nil, evidence.Device,
			"abe, who challenged hsm-1 sealing, gives no word for it that counts"},
		"abe challenged, and signed": {testfleet.Options{Challenger: "abe", Onlookers: []ceremony.Person{abe}, Roles: both}, nil, evidence.Attested,
			"2 of 2 keys answered the challenge of abe"},
		"abe, under another name in the policy": {testfleet.Options{Challenger: "abe", Onlookers: []ceremony.Person{abe}, Roles: both}, func(p string) string { return strings.Replace(p, "name: abe", "name: abraham", 1) }, evidence.Attested,
			"2 of 2 keys answered the challenge of abe"},
		"no key agrees": {testfleet.Options{}, nil, evidence.NotShown, "the plan has no key that agrees"},
		"all keys agree": {testfleet.Options{Challenger: "ada", Roles: []draft.Role{{Name: "sealing", Algorithm: keys.ECDHP256}}}, nil, evidence.Attested,
			"2 of 2 keys answered the challenge of ada"},
	} {
		c.o.Name, c.o.HSMs = name, 2
		f := testfleet.New(t, c.o)
		text := string(f.Policy)
		if c.edit != nil {
			if text = c.edit(text); text == string(f.Policy) {
				t.Fatalf("%s: the policy is as it was", name)
			}
		}
		policy := must(evidence.ParsePolicy("policy.yaml", []byte(text)))
		r := must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, policy, evidence.Question{Now: f.Now()}))
		got := r.Claim(evidence.ClaimAgreement)
		if !r.Verified || got.Grade != c.want || !strings.Contains(got.Detail, c.says) {
			t.Errorf("%s: verified %t, %s: %s", name, r.Verified, got.Grade, got.Detail)
		}
		possession := r.Claim(evidence.ClaimPossession)
		if shown := len(f.Plan.RolesOf(keys.Sign)) > 0; shown != (possession.Grade == evidence.Proven) {
			t.Errorf("%s: possession is %s: %s", name, possession.Grade, possession.Detail)
		}
		// A policy that wants the word of a challenger isn't met by the machine's.
		strict := must(evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(text, "key.agreement: device", "key.agreement: attested", 1))))
		if r := must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, strict, evidence.Question{Now: f.Now()})); r.Verified == (c.want == evidence.Device) {
			t.Errorf("%s: verified %t where it has to be attested", name, r.Verified)
		}
	}
}
