package planned_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A device's policy that is made of a hybrid one requires both signatures too, and has
// them dated by post-quantum witnesses.
func TestADevicesPolicyRequiresWhatTheVerifiersDoes(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid device", HSMs: 3, PostQuantum: keys.MLDSA44})
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	d, err := planned.DevicePolicy(p, "", 24*time.Hour, device.Pins{}, false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := device.ParsePolicy("device.json", d.Raw())
	if err != nil || strings.Join(again.Trust.RequireAll, " ") != "auditor.example operator-1" || len(again.Trust.Additional) != 1 {
		t.Fatalf("%v\n%s", err, d.Raw())
	}
	b, err := f.Account.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	proof := f.Files[ceremony.ProofFile]
	v, err := device.Judge(b.Raw(), proof, again, nil, f.Now())
	if err != nil || len(v.Signers.Operators) != 2 {
		t.Fatalf("%v", err)
	}
	// The same bundle without its post-quantum countersignature, logged by the same log.
	half, err := bundle.Assemble(b.Artifact(), b.Statements, b.Countersignatures[:1], b.Transcript)
	if err != nil {
		t.Fatal(err)
	}
	proof, err = f.Parties.Log.Append(half.Raw())
	if err != nil {
		t.Fatal(err)
	}
	_, err = device.Judge(half.Raw(), proof, again, nil, f.Now())
	var r *bundle.Refusal
	if !errors.As(err, &r) || r.Reason != bundle.ReasonSignatures || !strings.Contains(err.Error(), "operator-1 gave its classical countersignature, and no post-quantum one that counts") {
		t.Errorf("%v", err)
	}
	// Without require_all the additional keys would count for nothing: no such policy.
	text := strings.Replace(string(d.Raw()), "\"auditor.example\",\n    \"operator-1\"", "\"operator-1\"", 1)
	if _, err := device.ParsePolicy("device.json", []byte(text)); err == nil || !strings.Contains(err.Error(), "and nothing requires its signature") {
		t.Errorf("%v", err)
	}
}

// What a plan's ceremony can't give is foreseen under a policy that requires both.
func TestAClassicalPlanIsForeseenShortOfAHybridPolicy(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid forecast", HSMs: 1, PostQuantum: keys.MLDSA44, To: -1})
	classical := testfleet.New(t, testfleet.Options{Name: "hybrid forecast", HSMs: 1, Witnesses: 2, To: -1})
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	short := map[string]string{}
	for _, o := range planned.Short(planned.Forecast(classical.Plan, p)) {
		short[o.Claim] = o.Missing
	}
	for _, claim := range []string{evidence.ClaimStatement, evidence.ClaimCountersigned} {
		if !strings.Contains(short[claim], "requires a") {
			t.Errorf("%s: %q", claim, short[claim])
		}
	}
	for _, o := range planned.Short(planned.Forecast(f.Plan, p)) {
		if o.Claim == evidence.ClaimStatement || o.Claim == evidence.ClaimCountersigned {
			t.Errorf("%s is foreseen short: %s", o.Claim, o.Missing)
		}
	}
}
