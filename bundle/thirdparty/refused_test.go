package thirdparty_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// TestRefusedByName holds what a third party has to refuse, beside what
// the ledger's own tests have: equivocation, a ledger restored from a backup and
// so a gap, a request without approvals, a clock that jumps.
func TestRefusedByName(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one", To: testfleet.ToLogged})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one, To: testfleet.ToLogged})
	three := testfleet.New(t, testfleet.Options{Name: "three", After: two, To: testfleet.ToRequest})
	four := testfleet.New(t, testfleet.Options{Name: "rival", After: one, To: testfleet.ToRequest})
	ask := func(f *testfleet.Fleet, more string, old, new string) error {
		text := bytes.Replace(append(f.ThirdPartyPolicy(), more...), []byte(old), []byte(new), 1)
		if !bytes.Contains(f.ThirdPartyPolicy(), []byte(old)) {
			t.Fatalf("the policy has no %q", old)
		}
		p, err := thirdparty.ParsePolicy("policy", text)
		if err != nil {
			t.Fatal(err)
		}
		l := must(f.OpenLedger())
		defer l.Close()
		_, err = thirdparty.Inspect("request.json", f.Request, p, l)
		return err
	}
	if err := ask(three, "", "", ""); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f              *testfleet.Fleet
		old, new, want string
	}{
		"epoch signed already, another artifact": {four, "", "", "one epoch has one digest"},
		"wrong namespace":                        {three, testfleet.Namespace, "rehearsal.other", "which the policy does not sign for"},
		"algorithm that isn't allowed":           {three, "algorithms: [ed25519, ecdsa-p256, ecdsa-p384, ecdh-p256, x25519, ml-dsa-44, ml-dsa-65, ml-dsa-87]", "algorithms: [ecdsa-p384]", "which the policy does not allow"},
		"role that isn't allowed":                {three, "roles: [session, backup, sealing, vault]", "roles: [backup]", "which the policy does not allow"},
		"too few HSMs":                           {three, "least_hsms: 3", "least_hsms: 4", "the policy wants at least 4"},
		"more approvals wanted":                  {three, "threshold: 2", "threshold: 3", "2 of 3 officers"},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, ask(c.f, "", c.old, c.new), c.want) })
	}
	t.Run("rehearsal in production", func(t *testing.T) {
		text := strings.NewReplacer("mode: rehearsal", "mode: production", testfleet.Namespace, "example.backup.fleet_keys.v1").Replace(string(three.ThirdPartyPolicy()))
		p := must(thirdparty.ParsePolicy("policy", []byte(text)))
		_, err := thirdparty.Inspect("request.json", three.Request, p, ledger(t, three))
		wantError(t, err, "is of a rehearsal, the policy signs for production only")
	})
	t.Run("time going back", func(t *testing.T) {
		f := testfleet.New(t, testfleet.Options{Name: "clock one", To: testfleet.ToLogged})
		next := testfleet.New(t, testfleet.Options{Name: "clock two", After: f, To: testfleet.ToRequest})
		_, err := next.Answer(next.Request, f.Response.Statement.Time().Add(-time.Second))
		wantError(t, err, "time never goes back")
	})
	t.Run("digest reuse", func(t *testing.T) {
		// The artifact that the ledger signed as epoch 1, asked for anew: another
		// request, since it names another release.
		c := one.Request.Core
		core := must(bundle.NewCore(c.KeySet, nil, nil, bundle.Head{Hash: [32]byte{1}, N: c.Release.N}))
		l := must(one.OpenLedger())
		defer l.Close()
		_, err := thirdparty.InspectCore("request.json", core, policy(one), l)
		wantError(t, err, "its artifact was signed as epoch 1; a digest never recurs")
	})
	t.Run("request by another than the ledger's key", func(t *testing.T) {
		other := testfleet.SoftSigner(keys.Ed25519, "somebody else")
		raw, _ := other.Public.Ed25519()
		_, err := thirdparty.Inspect("request.json", one.Request, policy(one), begun(t, [32]byte(raw)))
		wantError(t, err, "does not name the ledger's key")
	})
	t.Run("evidence that isn't the artifact's", func(t *testing.T) {
		r := must(bundle.NewRequest(one.Request.Core, two.Request.Files))
		_, err := thirdparty.Inspect("request.json", r, policy(one), ledger(t, one))
		wantError(t, err, "its plan.yaml is not the plan that it names")
	})
}

// A third party has a say of its own in what a plan tolerates.
func TestATolerancePassesOnlyUnderAPolicyThatTakesIt(t *testing.T) {
	f := asked(t, testfleet.Options{Tolerates: []string{token.TryRelaxExtractable, token.TryRelaxSensitive}, Tokens: func(l []*testfleet.Token) {
		l[0].OnRelaxed = func(*token.Relaxed) {}
	}})
	l := ledger(t, f)
	line := []byte("tolerates: [relax-extractable, relax-sensitive]\n")
	for list, want := range map[string]string{
		"":                               "in its ceremony relax-extractable in hsm-1, relax-sensitive in hsm-1 succeeded, and the policy does not tolerate it",
		"tolerates: [relax-sensitive]\n": "in its ceremony relax-extractable in hsm-1 succeeded",
	} {
		p := must(thirdparty.ParsePolicy("policy", bytes.Replace(f.ThirdPartyPolicy(), line, []byte(list), 1)))
		_, err := thirdparty.Inspect("request.json", f.Request, p, l)
		wantError(t, err, want)
	}
	if _, err := thirdparty.Inspect("request.json", f.Request, policy(f), l); err != nil {
		t.Error(err)
	}
	_, err := thirdparty.ParsePolicy("policy", bytes.Replace(f.ThirdPartyPolicy(), line, []byte("tolerates: [export]\n"), 1))
	wantError(t, err, `tolerates "export"`)
}
