package evidence_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const (
	firstParty  = testfleet.FirstAuditor
	secondParty = "auditor-2.example"
	thirdParty  = "auditor-3.example"
)

func base64Key(k [32]byte) string { return base64.StdEncoding.EncodeToString(k[:]) }

// judged verifies a fleet's package, or what changes make of the policy.
func judged(t *testing.T, f *testfleet.Fleet, in evidence.Input, edit ...string) *evidence.Report {
	t.Helper()
	text := strings.NewReplacer(edit...).Replace(string(f.Policy))
	if len(edit) > 0 && text == string(f.Policy) {
		t.Fatal("nothing of the policy was changed")
	}
	p, err := evidence.ParsePolicy("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Verify(in, p, evidence.Question{Now: f.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func signedBy(r *evidence.Report) string {
	var list []string
	for _, p := range r.Parties.Signed {
		name := p.Name
		if p.Late {
			name += " late"
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ") + "; absent " + strings.Join(r.Parties.Absent, ", ")
}

// twoOfThree is a fleet that two of three third parties signed in time.
func twoOfThree(t *testing.T, o testfleet.Options) *testfleet.Fleet {
	t.Helper()
	o.Others, o.Needed = 2, 2
	return testfleet.New(t, o)
}

func TestTwoOfThreeAreEnoughAndTheThirdIsNamedAsAbsent(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{Absent: []string{secondParty}})
	in := evidence.Input{File: "evidence.tar", Data: f.Archive}
	r := judged(t, f, in)
	if want := firstParty + ", " + thirdParty + "; absent " + secondParty; !r.Verified || signedBy(r) != want && signedBy(r) != thirdParty+", "+firstParty+"; absent "+secondParty {
		t.Errorf("%v %s %+v", r.Verified, signedBy(r), r.Problems)
	}
	if d := r.Claim(evidence.ClaimStatement).Detail; !strings.Contains(d, "2 of 3 third parties, 2 needed: ") || !strings.Contains(d, "; absent "+secondParty) {
		t.Error(d)
	}
	// A verifier that wants all three finds it short, with the same bytes.
	r = judged(t, f, in, "third_parties_needed: 2", "third_parties_needed: 3")
	if c := r.Claim(evidence.ClaimStatement); r.Verified || len(r.Problems) > 0 || c.Grade != evidence.NotShown || !strings.Contains(c.Detail, "2 of 3 pinned third parties signed; absent "+secondParty) {
		t.Errorf("%+v %+v", c, r.Problems)
	}
	// Until the absent one signs the same request, later: beside the package.
	late, err := f.AnswerOf(secondParty, f.Request, f.Now())
	if err != nil {
		t.Fatal(err)
	}
	in.Statements = []evidence.Input{{File: "late.json", Data: late.Raw()}}
	r = judged(t, f, in, "third_parties_needed: 2", "third_parties_needed: 3")
	if !r.Verified || !strings.HasSuffix(signedBy(r), secondParty+" late; absent ") {
		t.Errorf("%v %s %+v", r.Verified, signedBy(r), r.Problems)
	}
	// As served, too, and beside the bundle alone.
	in = evidence.Input{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile],
		Statements: []evidence.Input{{File: "late.json", Data: late.Statement.Raw()}, {File: "again.json", Data: late.Raw()}}}
	r = judged(t, f, in, "third_parties_needed: 2", "third_parties_needed: 3")
	if c := r.Claim(evidence.ClaimStatement); c.Grade != evidence.Proven || len(r.Problems) > 0 || !strings.Contains(c.Detail, "3 of 3 third parties, 3 needed: ") || !strings.Contains(c.Detail, "late "+secondParty) {
		t.Errorf("%+v %+v", c, r.Problems)
	}
	if js := string(r.JSON()); !strings.Contains(js, `"needed": 3`) || !strings.Contains(js, `"late": true`) {
		t.Error(js)
	}
}

func TestALateStatementOnTheRecordCountsAndIsNotInTheBundle(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{Late: []string{thirdParty}})
	if n := len(f.Account.Statements()); n != 3 || len(f.Account.Late()) != 1 || len(f.Account.Absent()) != 0 {
		t.Fatalf("%d statements are on the record", n)
	}
	b, err := f.Account.Bundle()
	if err != nil || len(b.Statements) != 2 {
		t.Fatalf("%v: the bundle has %d statements", err, len(b.Statements))
	}
	r := judged(t, f, evidence.Input{File: "evidence.tar", Data: f.Archive}, "third_parties_needed: 2", "third_parties_needed: 3")
	if !r.Verified || !strings.HasSuffix(signedBy(r), thirdParty+" late; absent ") {
		t.Errorf("%v %s %+v", r.Verified, signedBy(r), r.Problems)
	}
	// The bundle alone doesn't have it.
	r = judged(t, f, evidence.Input{File: "b", Data: b.Raw(), Proof: f.Files[ceremony.ProofFile]}, "third_parties_needed: 2", "third_parties_needed: 3")
	if r.Claim(evidence.ClaimStatement).Grade != evidence.NotShown || r.Parties.Absent[0] != thirdParty {
		t.Errorf("%+v", r.Parties)
	}
	// Outside its key's window it doesn't count, whatever the bundle's proof says.
	key := fmt.Sprintf("  - name: %s\n", thirdParty)
	r = judged(t, f, evidence.Input{File: "evidence.tar", Data: f.Archive}, "third_parties_needed: 2", "third_parties_needed: 3",
		key, key+"    window: {compromised_after: 2026-11-21T09:00:00Z}\n")
	if r.Verified || !strings.Contains(r.Claim(evidence.ClaimStatement).Detail, "1 outside its key's window") {
		t.Errorf("%+v", r.Claim(evidence.ClaimStatement))
	}
}

// A party with two keys, as after a rotation, is one party.
func TestAPartyWithTwoKeysCountsOnce(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{Absent: []string{thirdParty}})
	in := evidence.Input{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}
	r := judged(t, f, in, "name: "+secondParty, "name: "+firstParty)
	if c := r.Claim(evidence.ClaimStatement); c.Grade != evidence.NotShown || !strings.Contains(c.Detail, "1 of 2 pinned third parties signed") {
		t.Errorf("%+v", c)
	}
	// Nor does the second key's statement beside the bundle help.
	g := twoOfThree(t, testfleet.Options{Absent: []string{thirdParty}, Late: nil})
	late, err := g.AnswerOf(thirdParty, g.Request, g.Now())
	if err != nil {
		t.Fatal(err)
	}
	in = evidence.Input{File: "bundle.json", Data: g.Files[ceremony.BundleFile], Proof: g.Files[ceremony.ProofFile],
		Statements: []evidence.Input{{File: "late.json", Data: late.Raw()}}}
	r = judged(t, g, in, "name: "+thirdParty, "name: "+firstParty, "third_parties_needed: 2", "third_parties_needed: 2")
	if len(r.Parties.Signed) != 2 || slices.ContainsFunc(r.Parties.Signed, func(p evidence.Party) bool { return p.Late }) {
		t.Errorf("%+v", r.Parties)
	}
}

func TestPoliciesOfSeveralThirdParties(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{To: testfleet.ToRequest})
	for _, c := range []struct{ old, new, want string }{
		{"third_parties_needed: 2", "third_parties_needed: 4", "with 3 pinned it is from 1 to 3"},
		{"name: " + secondParty, "name: " + firstParty, ""},
	} {
		_, err := evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(string(f.Policy), c.old, c.new, 1)))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.new, err)
		}
	}
	keys := f.Parties.Auditors()
	raw := func(n int) string { return fmt.Sprintf("key: %s", base64Key(keys[n].Key())) }
	_, err := evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(string(f.Policy), raw(1), raw(0), 1)))
	if err == nil || !strings.Contains(err.Error(), `third party "`+secondParty+`" has the key of "`+firstParty+`"`) {
		t.Error(err)
	}
	// All keys under one name are one party, and two parties are wanted.
	_, err = evidence.ParsePolicy("policy.yaml", []byte(strings.NewReplacer("name: "+secondParty, "name: "+firstParty, "name: "+thirdParty, "name: "+firstParty).Replace(string(f.Policy))))
	if err == nil || !strings.Contains(err.Error(), "with 1 pinned it is from 1 to 1") {
		t.Error(err)
	}
	// A plan that asks fewer than the policy wants is refused before anything is run.
	p, err := evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(string(f.Policy), "third_parties_needed: 2", "third_parties_needed: 3", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckPlan(f.Plan); err == nil || !strings.Contains(err.Error(), "wants 3 third parties to sign, the plan 2") {
		t.Error(err)
	}
}

// resigned is a statement by a third party about what a test likes.
func resigned(t *testing.T, f *testfleet.Fleet, name string, epoch uint64, digest [32]byte, at time.Time) []byte {
	t.Helper()
	who := f.Parties.Auditor(name)
	s, err := bundle.NewStatement(bundle.Protobuf, testfleet.Namespace, uint64(at.UnixMilli()), epoch, digest)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := who.Sign(s.Message())
	if err == nil {
		s, err = s.Seal(who.Key(), sig)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.NewResponse(bundle.Signed{Key: who.Key(), Statement: s})
	if err != nil {
		t.Fatal(err)
	}
	return r.Raw()
}

func TestHostileLateStatementsAreRefusedByName(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{Absent: []string{thirdParty}})
	digest := f.Account.Release.Artifact
	bad := resigned(t, f, thirdParty, 1, digest, f.Now())
	_, forged, _ := strings.Cut(string(bad), `"key": "`)
	forged = `{"format": "fleetctl response v1", "key": "` + forged
	other := base64Key(f.Parties.Auditor(secondParty).Key())
	forged = strings.Replace(forged, base64Key(f.Parties.Auditor(thirdParty).Key()), other, 1)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"another artifact":         {resigned(t, f, thirdParty, 1, [32]byte{1}, f.Now()), thirdParty + " signed digest 0100000000000000… for epoch 1, the bundle has"},
		"another epoch":            {resigned(t, f, thirdParty, 2, digest, f.Now()), thirdParty + " signed " + testfleet.Namespace + ", epoch 2; the bundle is"},
		"a second, another digest": {resigned(t, f, firstParty, 1, [32]byte{1}, f.Now()), "equivocation"},
		"a second, later":          {resigned(t, f, firstParty, 1, digest, f.Now()), firstParty + " signed epoch 1 twice, at "},
		"nonsense":                 {[]byte("{"), "late.json"},
	} {
		in := evidence.Input{File: "evidence.tar", Data: f.Archive, Statements: []evidence.Input{{File: "late.json", Data: c.data}}}
		r := judged(t, f, in)
		if r.Verified || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Where+" "+r.Problems[0].What, c.want) {
			t.Errorf("%s: %v %+v", name, r.Verified, r.Problems)
		}
	}
	in := evidence.Input{File: "evidence.tar", Data: f.Archive, Statements: []evidence.Input{{File: "late.json", Data: []byte(forged)}}}
	if r := judged(t, f, in); r.Verified || len(r.Problems) != 1 {
		t.Errorf("another's key beside it: %+v", r.Problems)
	}
}

// A third party that gave the room two answers is caught by whoever verifies,
// with both statements in the package.
func TestASecondAnswerInTheRecordIsEquivocation(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{To: testfleet.ToLogged})
	j, err := f.Journal()
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.ParseResponse("second.json", resigned(t, f, firstParty, 1, [32]byte{7}, f.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.ImportResponse(r); err == nil || !strings.Contains(err.Error(), firstParty+" signed another artifact; it is on the record as refused") {
		t.Fatal(err)
	}
	if len(j.Account().Contradictions()) != 1 {
		t.Error("it proves nothing")
	}
	says := firstParty + " signed epoch 1 with digest 0700000000000000…"
	if err := f.End(j); err == nil || !strings.Contains(err.Error(), says) {
		t.Fatalf("it is closed as if nothing were wrong: %v", err)
	}
	f.Anyway = func(wrong error) error {
		if !strings.Contains(wrong.Error(), says) {
			t.Errorf("people are asked about %v", wrong)
		}
		return nil
	}
	if err := f.End(j); err != nil {
		t.Fatal(err)
	}
	j.Close()
	got := judged(t, f, evidence.Input{File: "evidence.tar", Data: f.Archive})
	if got.Verified || len(got.Problems) != 1 || !strings.Contains(got.Problems[0].What, says) {
		t.Errorf("%+v", got.Problems)
	}
}
