package evidence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// noticeOf is a notice of a fleet, right unless it is changed.
func noticeOf(f *testfleet.Fleet, format string, epoch uint64, previous [32]byte, change ...func(*bundle.Notice)) *bundle.Notice {
	n := &bundle.Notice{Format: format, Mode: bundle.Rehearsal, Fleet: f.Plan.Fleet, Namespace: testfleet.Namespace, Epoch: epoch,
		Previous: previous, Created: f.Now(), Reason: "a test"}
	if format == bundle.RetirementFormat {
		n.Effective = f.Now().Add(time.Hour)
	}
	for _, c := range change {
		c(n)
	}
	return must(bundle.ParseNotice("notice.json", n.Encode()))
}

// noticed is its bundle, signed by a third party and countersigned by an
// operator, in the form given.
func noticed(f *testfleet.Fleet, n *bundle.Notice, party, operator testfleet.Signer, form string) []byte {
	raw, _ := party.Public.Ed25519()
	s := must(bundle.NewStatement(bundle.Protobuf, n.Namespace, uint64(f.Now().UnixMilli()), n.Epoch, n.Digest()))
	signed := []bundle.Signed{{Key: [32]byte(raw), Statement: must(s.Seal([32]byte(raw), must(party.Sign(s.Message()))))}}
	text := must(bundle.CountersignNotice(form, n, signed))
	return must(bundle.Assemble(n.Raw(), signed, []bundle.Countersignature{{Key: operator.Public, Form: form, Signature: must(operator.Sign(text))}})).Raw()
}

func TestABundleOfANoticeIsVerifiedAsThat(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "noticed"})
	other := testfleet.New(t, testfleet.Options{Name: "another"})
	p, o := f.Parties.ThirdParty, f.Parties.Operator
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	end := noticeOf(f, bundle.RetirementFormat, 2, f.Account.Release.Artifact)
	void := noticeOf(f, bundle.VoidFormat, 2, f.Account.Release.Artifact)
	good := noticed(f, end, p, o, bundle.FormBound)
	proof := must(f.Parties.Log.Append(good))
	abroad := noticeOf(f, bundle.RetirementFormat, 2, [32]byte{1}, func(n *bundle.Notice) { n.Namespace = "rehearsal.example.other" })
	real := noticeOf(f, bundle.RetirementFormat, 2, [32]byte{1}, func(n *bundle.Notice) {
		n.Mode, n.Namespace = bundle.Production, strings.TrimPrefix(n.Namespace, bundle.RehearsalPrefix)
	})
	again := noticeOf(f, bundle.RetirementFormat, 2, f.Account.Release.Artifact, func(n *bundle.Notice) { n.Reason = "another" })
	// The signatures of one notice under another.
	b := must(bundle.ParseAny("b", good))
	swapped := must(bundle.Assemble(again.Raw(), must(bundle.ParseAny("b", noticed(f, again, p, o, bundle.FormBound))).Statements, b.Countersignatures)).Raw()
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
		"void for a retirement's keys": {noticed(f, void, p, o, bundle.FormBound), nil, "", "is a notice, a fleetctl void v1"},
		"another third party":          {noticed(f, end, other.Parties.ThirdParty, o, bundle.FormBound), nil, evidence.TypeNotice, "0 of 1 pinned third parties signed"},
		"another operator":             {noticed(f, end, p, other.Parties.Operator, bundle.FormBound), nil, evidence.TypeNotice, "no pinned operator countersigned"},
		"another form":                 {noticed(f, end, p, o, bundle.FormSignature), nil, evidence.TypeNotice, "form"},
		"another namespace":            {noticed(f, abroad, p, o, bundle.FormBound), nil, evidence.TypeNotice, "which the policy does not pin"},
		"production":                   {noticed(f, real, p, o, bundle.FormBound), nil, evidence.TypeNotice, "the policy is for rehearsal only"},
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

// A retirement and a void are epochs of a log as any other, and end or skip one.
func TestNoticesInALog(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one})
	stranger := testfleet.New(t, testfleet.Options{Name: "stranger"})
	policy := must(evidence.ParsePolicy("policy.yaml", one.Policy))
	p, o := one.Parties.ThirdParty, one.Parties.Operator
	first, second := one.Files[ceremony.BundleFile], two.Files[ceremony.BundleFile]
	make := func(format string, epoch uint64, previous [32]byte) []byte {
		return noticed(one, noticeOf(one, format, epoch, previous), p, o, bundle.FormBound)
	}
	digest := one.Account.Release.Artifact
	end := make(bundle.RetirementFormat, 2, digest)
	forged := noticed(one, noticeOf(one, bundle.RetirementFormat, 2, digest), stranger.Parties.ThirdParty, o, bundle.FormBound)
	now := two.Now()
	for name, c := range map[string]struct {
		entries [][]byte
		want    string
	}{
		"retired":                  {[][]byte{first, end}, ";"},
		"keys after it":            {[][]byte{first, end, make(bundle.VoidFormat, 3, must(bundle.ParseAny("", end)).About().Digest)}, ";;retired"},
		"beside an epoch":          {[][]byte{first, second, end}, ";;equivocation"},
		"a forged one":             {[][]byte{first, forged}, ";signatures"},
		"other predecessor":        {[][]byte{first, make(bundle.RetirementFormat, 2, [32]byte{1})}, ";predecessor"},
		"voided":                   {[][]byte{first, second, make(bundle.VoidFormat, 3, two.Account.Release.Artifact)}, ";;"},
		"an abandoned epoch":       {[][]byte{first, make(bundle.VoidFormat, 3, [32]byte{9})}, ";"},
		"two abandoned epochs":     {[][]byte{first, make(bundle.VoidFormat, 4, [32]byte{9})}, ";gap"},
		"a retirement skips":       {[][]byte{first, make(bundle.RetirementFormat, 3, [32]byte{9})}, ";gap"},
		"a forged one ends nobody": {[][]byte{first, forged, make(bundle.VoidFormat, 3, must(bundle.ParseAny("", forged)).About().Digest)}, ";signatures;"},
	} {
		t.Run(name, func(t *testing.T) {
			judge := evidence.NewEntries(policy, func() time.Time { return now })
			judge.Evidence = time.Hour
			var got []string
			for i, leaf := range c.entries {
				again := evidence.NewEntries(policy, func() time.Time { return now })
				if err := again.Restore(judge.State()); err != nil {
					t.Fatal(err)
				}
				judge = again
				got = append(got, strings.Join(kinds(judge.Take(uint64(i), judge.Read(uint64(i), leaf))), ","))
			}
			if s := strings.Join(got, ";"); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
	// No ceremony makes a notice, so it owes no evidence.
	judge := evidence.NewEntries(policy, func() time.Time { return now })
	judge.Evidence = time.Hour
	for i, leaf := range [][]byte{first, end} {
		judge.Take(uint64(i), judge.Read(uint64(i), leaf))
	}
	now = now.Add(2 * time.Hour)
	if got := judge.Overdue(); len(got) != 1 || !strings.Contains(got[0].Text, "epoch 1") {
		t.Errorf("%v", fmt.Sprint(got))
	}
}
