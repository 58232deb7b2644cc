package thirdparty_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A third party signs nothing of a plan that names its post-quantum key without that
// key, and nothing with a key that the plan doesn't name: the ledger stays as it was.
func TestAStatementIsSignedWithTheAdditionThatThePlanNames(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid third party", HSMs: 1, PostQuantum: keys.MLDSA44, To: testfleet.ToRequest})
	classical := testfleet.New(t, testfleet.Options{Name: "classical third party", HSMs: 1, To: testfleet.ToRequest})
	adder := func(s testfleet.Signer) *thirdparty.Adder {
		return &thirdparty.Adder{Key: s.Public, Sign: s.For(keys.ForThirdParty)}
	}
	mine, other := f.Parties.PostQuantum[testfleet.FirstAuditor], testfleet.SoftSigner(keys.MLDSA44, "another")
	for name, c := range map[string]struct {
		f    *testfleet.Fleet
		by   *thirdparty.Adder
		want string
	}{
		"none":         {f, nil, "its plan names a post-quantum key of auditor.example, ml-dsa-44, and the operator takes no statement without a signature by it"},
		"another":      {f, adder(other), "its plan names another post-quantum key of auditor.example"},
		"one too many": {classical, adder(other), "its plan names no post-quantum key of auditor.example"},
	} {
		l := must(c.f.OpenLedger())
		in := must(thirdparty.Inspect("request.json", c.f.Request, must(thirdparty.ParsePolicy("policy", c.f.ThirdPartyPolicy())), l))
		in.AddBy(c.by)
		_, err := thirdparty.Sign(in, l, c.f.Now(), c.f.Parties.ThirdParty.Sign)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(l.Statements()) > 0 {
			t.Errorf("%s: %v, %d in the ledger", name, err, len(l.Statements()))
		}
		l.Close()
	}
	l := must(f.OpenLedger())
	defer l.Close()
	in := must(thirdparty.Inspect("request.json", f.Request, must(thirdparty.ParsePolicy("policy", f.ThirdPartyPolicy())), l))
	in.AddBy(adder(mine))
	r := must(thirdparty.Sign(in, l, f.Now(), f.Parties.ThirdParty.Sign))
	if err := r.VerifyAddition(nil); err != nil || len(l.Statements()) != 1 {
		t.Errorf("%v, %d in the ledger", err, len(l.Statements()))
	}
	ceremonyTakesBoth(t, f, r)
}

// ceremonyTakesBoth is the operator's side: a statement as a live service serves it is
// not taken, nor recorded; a response with both is; and no countersignature is made by
// one of two keys.
func ceremonyTakesBoth(t *testing.T, f *testfleet.Fleet, r *bundle.Response) {
	f.Wait(f.Now().Sub(f.Last()))
	j := must(f.Journal())
	defer j.Close()
	before := j.Account().N
	served := must(bundle.ParseAnswer("served.json", r.Statement.Raw(), f.Plan.PartyKeys()))
	if _, err := j.ImportResponse(served); !errors.Is(err, ceremony.ErrNoAddition) || j.Account().N != before {
		t.Errorf("a statement as served: %v, %d records more", err, j.Account().N-before)
	}
	if _, err := j.ImportResponse(r); err != nil {
		t.Fatal(err)
	}
	op := f.Parties.Operator
	if err := j.Countersign(context.Background(), f.Approve, op.Public, op.Sign); err == nil || !strings.Contains(err.Error(), "the plan names a post-quantum key for operator-1 too, ml-dsa-44, and none is given") {
		t.Errorf("by one key: %v", err)
	}
	wrong := f.Beside()
	wrong[0].Sign = f.Parties.PostQuantum["operator-1"].For(keys.ForThirdParty)
	if err := j.Countersign(context.Background(), f.Approve, op.Public, op.Sign, wrong...); err == nil || !strings.Contains(err.Error(), "the post-quantum countersignature of operator-1") {
		t.Errorf("in another context: %v", err)
	}
	if j.Account().Counter != nil {
		t.Fatal("half a countersignature is on the record")
	}
	if err := j.Countersign(context.Background(), f.Approve, op.Public, op.Sign, f.Beside()...); err != nil {
		t.Fatal(err)
	}
	if b := must(j.Account().Bundle()); len(b.Countersignatures) != 2 || b.Statements[0].Addition == nil {
		t.Errorf("%d countersignatures", len(b.Countersignatures))
	}
}
