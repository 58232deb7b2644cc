package thirdparty_test

import (
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A new key takes over: the next plan names it, the request names the old
// key's last statement, and what the old ledger signed stays binding.
func TestANewKeyGoesOnWhereTheOldOneStopped(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one", To: testfleet.ToLogged})
	renewed := *one.Parties
	renewed.ThirdParty = testfleet.SoftSigner(keys.Ed25519, "the renewed key")
	renewed.Ledger = t.TempDir() + "/new.jsonl"
	before := *one
	before.Parties = &renewed
	two := testfleet.New(t, testfleet.Options{Name: "two", After: &before, To: testfleet.ToRequest})

	_, err := two.Answer(two.Request, two.Now())
	wantError(t, err, "the ledger has no statement of")

	raw, _ := one.Parties.ThirdParty.Public.Ed25519()
	old := must(thirdparty.ReadLedger(one.Parties.Ledger, [32]byte(raw)))
	l := must(two.OpenLedger())
	t.Cleanup(l.Close)
	if err := l.Continues(old); err != nil {
		t.Fatal(err)
	}
	in := must(thirdparty.Inspect("request.json", two.Request, policy(two), l))
	_, err = thirdparty.Sign(in, l, one.Response.Statement.Time().Add(-time.Hour), renewed.ThirdParty.Sign)
	wantError(t, err, "time never goes back")
	r := must(thirdparty.Sign(in, l, two.Now(), renewed.ThirdParty.Sign))
	if r.Statement.Epoch != 2 || r.Statement.KeyID == nil {
		t.Errorf("%+v", r.Statement)
	}
	if len(old.Statements()) != 1 || len(l.Statements()) != 1 {
		t.Error("an entry is in the wrong ledger")
	}
	// The epoch that the old key signed isn't signed again.
	if _, err := thirdparty.Inspect("request.json", one.Request, policy(one), l); err == nil {
		t.Error("an epoch of the old key's is taken again")
	}
	if err := old.Continues(old); err == nil {
		t.Error("a ledger continues itself")
	}

	// An old ledger that is older than the request's predecessor is noticed.
	stale := begun(t, l.Key())
	empty := begun(t, [32]byte(raw))
	if err := stale.Continues(empty); err != nil {
		t.Fatal(err)
	}
	_, err = thirdparty.Inspect("request.json", two.Request, policy(two), stale)
	wantError(t, err, "the ledger has no statement of")
}
