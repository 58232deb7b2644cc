package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestABundleOfANoticeIsVerifiedAsThat(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "noticed"})
	other := testfleet.New(t, testfleet.Options{Name: "another"})
	p, o := f.Parties.ThirdParty, f.Parties.Operator
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	end := f.NoticeOf(bundle.RetirementFormat, 2, f.Account.Release.Artifact)
	void := f.NoticeOf(bundle.VoidFormat, 2, f.Account.Release.Artifact)
	good := f.Noticed(end, p, o, bundle.FormBound)
	proof := must(f.Parties.Log.Append(good))
	abroad := f.NoticeOf(bundle.RetirementFormat, 2, [32]byte{1}, func(n *bundle.Notice) { n.Namespace = "rehearsal.example.other" })
	real := f.NoticeOf(bundle.RetirementFormat, 2, [32]byte{1}, func(n *bundle.Notice) {
		n.Mode, n.Namespace = bundle.Production, strings.TrimPrefix(n.Namespace, bundle.RehearsalPrefix)
	})
	again := f.NoticeOf(bundle.RetirementFormat, 2, f.Account.Release.Artifact, func(n *bundle.Notice) { n.Reason = "another" })
	// The signatures of one notice under another.
	b := must(bundle.ParseAny("b", good))
	swapped := must(bundle.Assemble(again.Raw(), must(bundle.ParseAny("b", f.Noticed(again, p, o, bundle.FormBound))).Statements, b.Countersignatures, nil)).Raw()
	keys := f.Files[ceremony.BundleFile]

	for name, c := range map[string]struct {
		data, proof []byte
		expect      evidence.Type
		want        string // empty: verified
	}{
		"a retirement":                 {good, proof, evidence.TypeNotice, ""},
		"a retirement, not asked for":  {good, proof, "", "is a notice, a fleetctl fleet-retirement v1: it brings no keys"},
		"a retirement for keys":        {good, proof, evidence.TypeBundle, "is a notice, and a bundle was expected"},
		"keys for a notice":            {keys, f.Files[ceremony.ProofFile], evidence.TypeNotice, "is a bundle, and a notice was expected"},
		"not logged":                   {good, nil, evidence.TypeNotice, "there is no proof beside it"},
		"another's proof":              {good, f.Files[ceremony.ProofFile], evidence.TypeNotice, "tlog-proof"},
		"void for a retirement's keys": {f.Noticed(void, p, o, bundle.FormBound), nil, "", "is a notice, a fleetctl void v1"},
		"another third party":          {f.Noticed(end, other.Parties.ThirdParty, o, bundle.FormBound), nil, evidence.TypeNotice, "0 of 1 pinned third parties signed"},
		"another operator":             {f.Noticed(end, p, other.Parties.Operator, bundle.FormBound), nil, evidence.TypeNotice, "no pinned operator countersigned"},
		"another form":                 {f.Noticed(end, p, o, bundle.FormSignature), nil, evidence.TypeNotice, "form"},
		"another namespace":            {f.Noticed(abroad, p, o, bundle.FormBound), nil, evidence.TypeNotice, "which the policy does not pin"},
		"production":                   {f.Noticed(real, p, o, bundle.FormBound), nil, evidence.TypeNotice, "the policy is for rehearsal only"},
		"another notice's signature":   {swapped, nil, evidence.TypeNotice, "countersignature"},
		"cut off":                      {good[:len(good)-3], proof, evidence.TypeNotice, "nothing that can be verified was given"},
	} {
		t.Run(name, func(t *testing.T) {
			r := must(evidence.Verify(evidence.Input{File: "bundle.json", Data: c.data, Proof: c.proof}, policy, evidence.Question{Now: f.Now(), Expect: c.expect}))
			if r.Verified != (c.want == "") || !strings.Contains(string(r.JSON()), c.want) {
				t.Errorf("verified %v, want %q:\n%s", r.Verified, c.want, r.JSON())
			}
		})
	}

	r := must(evidence.Verify(evidence.Input{File: "bundle.json", Data: good, Proof: proof}, policy, evidence.Question{Now: f.Now(), Expect: evidence.TypeNotice}))
	if r.Epoch != 2 || r.Fleet != f.Plan.Fleet || r.Notice.Reason != "a test" || !strings.Contains(string(r.JSON()), `"format": "fleetctl fleet-retirement v1"`) {
		t.Errorf("%s", r.JSON())
	}
	for _, c := range r.Claims {
		if strings.HasPrefix(c.Name, "key.") && c.Grade != evidence.NotShown {
			t.Errorf("a notice shows %s", c.Name)
		}
	}
}
