package planned_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// production is a fleet's plan as one for production, changed by pairs of words.
func production(f *testfleet.Fleet, pairs ...string) *ceremony.Plan {
	text := strings.NewReplacer("mode: rehearsal", "mode: production", "namespace: rehearsal.", "namespace: ").Replace(string(f.Plan.Raw()))
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic(fmt.Sprintf("the plan has no %q", pairs[i]))
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return must(ceremony.ParsePlan("plan.yaml", []byte(text)))
}

// outOfReach are the claims that fall short, with why.
func outOfReach(plan *ceremony.Plan, policy []byte) (list []string) {
	for _, o := range planned.Short(planned.Forecast(plan, must(evidence.ParsePolicy("policy.yaml", policy)))) {
		list = append(list, o.Claim+": "+o.Missing)
	}
	return list
}

func TestAProductionPolicySaysLineByLineWhatItsPlanCannotReach(t *testing.T) {
	bare := testfleet.Prepared(t, testfleet.Options{HSMs: 2})
	plan := production(bare)
	text := must(planned.NewPolicy(plan, "by telephone", nil))
	want := []string{"key.attested: the plan names no attestation under hsms:", "log.witnessed: the policy's log_policy names no quorum of witnesses"}
	if got := outOfReach(plan, text); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, line := range []string{
		"  # Out of reach as it stands: the plan names no attestation under hsms:.\n  # name each device there: attestation: {format: FORMAT, identity: IDENTITY}.\n  key.attested: attested\n",
		"  # Out of reach as it stands: the policy's log_policy names no quorum of witnesses.\n",
		"\n  anchors: []\n",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.Contains(string(text), "countersigner.attested") {
		t.Error("it demands what the plan doesn't name")
	}
}

func TestWithItsAnchorsAProductionPlanReachesEveryClaim(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{
		HSMs: 3, Attested: true, Witnesses: 2, Lockdown: []string{"seal the cards"}, Drill: []string{"sessions"}, Tolerates: []string{"relax-extractable"},
		Roles: []draft.Role{{Name: "session", Algorithm: keys.P256}, {Name: "sealing", Algorithm: keys.ECDHP256}},
	})
	plan, anchors := production(f), f.Attester.Block.Anchors.All()
	good := must(planned.NewPolicy(plan, "by telephone", []string{"relax-extractable"}, anchors...))
	if got := outOfReach(plan, good); got != nil {
		t.Fatalf("%q", got)
	}
	list := planned.Forecast(plan, must(evidence.ParsePolicy("policy.yaml", good)))
	for _, name := range evidence.ClaimNames() {
		asked := slices.ContainsFunc(list, func(o planned.Outlook) bool { return o.Claim == name })
		if want := name != evidence.ClaimRekor && name != evidence.ClaimAbortSigned && name != evidence.ClaimDestroyed; asked != want {
			t.Errorf("%s: foreseen %v", name, asked)
		}
	}
	// Whatever of it is taken away is named.
	change := func(pairs ...string) []byte {
		text := string(good)
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("the policy has no %q", pairs[i])
			}
			text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
		}
		return []byte(text)
	}
	sites := func(s string) []byte { return change("\nclaims:", "\nsites: "+s+"\nclaims:") }
	other := testfleet.Prepared(t, testfleet.Options{Name: "another", HSMs: 3, Witnesses: 2})
	for _, x := range []struct {
		name   string
		plan   *ceremony.Plan
		policy []byte
		want   []string
	}{
		{"no anchor", plan, must(planned.NewPolicy(plan, "by telephone", []string{"relax-extractable"})),
			[]string{"key.attested: the policy pins no anchor for tpm2-certify", "countersigner.attested: the policy pins no anchor"}},
		{"no tolerates", plan, must(planned.NewPolicy(plan, "by telephone", nil, anchors...)), []string{"key.nonexportable: the plan tolerates relax-extractable", "fleet.checked: the plan tolerates"}},
		{"an anchor for another format", plan, change("formats: [tpm2-certify]", "formats: [luna-pkc]"), []string{"key.attested: the policy pins no anchor for tpm2-certify", "countersigner.attested:"}},
		{"a format without a nonce", production(f, "tpm2-certify", "luna-pkc"), change("formats: [tpm2-certify]", "formats: [luna-pkc]"),
			[]string{"key.attested: the policy demands fresh evidence, and luna-pkc has no room for a nonce", "countersigner.attested:"}},
		{"a format that nobody knows", production(f, "tpm2-certify", "abacus"), good, []string{`key.attested: nobody can verify the format "abacus"`, "countersigner.attested:"}},
		{"keys that a TPM hasn't", production(f, "session\n    algorithm: ecdsa-p256", "session\n    algorithm: ed25519"), good,
			[]string{"key.attested: hsm-1 session is of ed25519, and tpm2-certify can't attest it: TPMs have no such keys"}},
		{"keys that a TPM can't agree with", production(f, "algorithm: ecdh-p256", "algorithm: x25519", "drill:\n  session: session\n  agreement: sealing\n  stages: [sessions]\n", ""), good,
			[]string{"key.attested: hsm-1 sealing is of x25519, and tpm2-certify can't attest it", "fleet.drilled: the plan has no drill"}},
		{"a format that never shows what is demanded", production(f, "tpm2-certify", "nshield"), change("formats: [tpm2-certify]", "formats: [nshield]"),
			[]string{"key.attested: hsm-1 session is of ecdsa-p256, and nshield can't attest it: it never shows what a key may do", "countersigner.attested: the key of operator-1 is of"}},
		{"two sites", plan, sites("{least: 2}"), []string{"fleet.checked: the HSMs stand at 1 sites, and at least 2"}},
		{"no majority at one site", plan, sites("{no_site_majority: true}"), []string{"fleet.checked: the site lab has 3 of the 3 HSMs, and 2 are a majority"}},
		{"two third parties", plan, change("third_parties_needed: 1", "third_parties_needed: 2", "\noperators:", "\n  - name: b\n    key: "+b64(other)+"\n    confirmed: x\noperators:"),
			[]string{"mode: it rests on statement.signed: the policy needs 2 third parties, and pins 1 of the plan's", "key.possession:", "fleet.checked: it rests on key.possession", "statement.signed:", "countersigned:"}},
		{"another fleet's policy", plan, must(planned.NewPolicy(production(other), "by telephone", []string{"relax-extractable"}, anchors...)),
			[]string{"mode:", "plan.approved: the policy pins 0 of the plan's people as officer", "key.possession:", "fleet.checked:", "signoffs.release:", "statement.signed:", "countersigned:", "log.included: the policy pins none of the plan's logs", "log.witnessed:", "signoffs.close:", "evidence.bound: it rests on signoffs.close", "page:", "evidence.logged:"}},
		{"a plan without a lock-down", production(f, "lockdown:\n  - \"seal the cards\"\n", ""), good, []string{"lockdown: the plan has no lock-down"}},
	} {
		got := outOfReach(x.plan, x.policy)
		if len(got) != len(x.want) {
			t.Errorf("%s: %q", x.name, got)
			continue
		}
		for i, want := range x.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, want %q", x.name, got[i], want)
			}
		}
	}
}

func b64(f *testfleet.Fleet) string {
	text := string(f.Policy)
	i := strings.Index(text, "third_parties:")
	i += strings.Index(text[i:], "key: ") + len("key: ")
	return text[i : i+44]
}

func TestAnchorsAreWrittenAsTheyAreReadAgain(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1, Attested: true})
	all := must(attest.ParseAnchors("shipped", attest.Shipped())).All()
	policy := must(evidence.ParsePolicy("policy.yaml", must(planned.NewPolicy(f.Plan, "", nil, all...))))
	got := policy.Attestation.Anchors.All()
	if len(got) != len(all) {
		t.Fatalf("%d of %d", len(got), len(all))
	}
	for i, a := range all {
		b := got[i]
		if a.Vendor != b.Vendor || a.Name != b.Name || a.Operator != b.Operator || !slices.Equal(a.Formats, b.Formats) || a.SPKI != b.SPKI || string(a.Certificate) != string(b.Certificate) ||
			string(a.Key) != string(b.Key) || a.Origin != b.Origin || a.Check != b.Check || b.Confirmed != "" || (a.NotAfter == nil) != (b.NotAfter == nil) || a.NotAfter != nil && !a.NotAfter.Equal(*b.NotAfter) {
			t.Errorf("%+v is read as %+v", a, b)
		}
		if !slices.Contains(policy.Unpinned(), "anchor "+a.Name) && len(a.Name) < 50 {
			t.Errorf("%s counts as pinned, and nobody confirmed it: %q", a.Name, policy.Unpinned())
		}
	}
}
