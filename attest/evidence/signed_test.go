package evidence_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// junk is one thing in a folder of what people signed that nobody should let lie
// there, with what a verifier says of it.
type junk struct {
	name, want string
	add        func(x evidence.Files)
}

// junkIn are such things for the package of a ceremony. They are the same for
// every package and every policy: what counts is another question.
func junkIn(f *testfleet.Fleet, a *ceremony.Account) []junk {
	olga, stranger := f.Parties.People["olga"], testfleet.NewPerson("nobody", ceremony.Officer)
	put := func(path string, text, sig []byte) func(evidence.Files) {
		return func(x evidence.Files) {
			if text != nil {
				x[path] = text
			}
			if sig != nil {
				x[path+".sig"] = sig
			}
		}
	}
	signed := func(p *testfleet.Person, namespace string, text []byte) []byte {
		return must(p.Sign(namespace, text)).Armor()
	}
	approval := func(p *testfleet.Person, path string, edit func(*ceremony.Approval)) func(evidence.Files) {
		w := a.Needs[0]
		w.Role = ceremony.Officer
		edit(&w)
		return put(path, w.Text(), signed(p, w.Namespace(), w.Text()))
	}
	open := func(name string) string { return fmt.Sprintf("approvals/open-%d-%s", a.Needs[0].Head.N, name) }
	signoff := func(p *testfleet.Person, path string, edit func(*ceremony.Signoff)) func(evidence.Files) {
		w := must(a.WantedSignoff(ceremony.StageRelease))
		w.Role, w.Verdict, w.Exceptions = ceremony.Officer, ceremony.Agree, nil
		edit(&w)
		return put(path, w.Text(), signed(p, w.Namespace(), w.Text()))
	}
	none := func(*ceremony.Approval) {}
	list := []junk{
		{"a text without a signature among the approvals", "has no signature beside it", put("approvals/evil.sh", []byte("#!/bin/sh\n"), nil)},
		{"an empty text without a signature", "has no signature beside it", put("signoffs/release/evil", []byte{}, nil)},
		{"a signature without a text", "signs a text that is not beside it", put("signoffs/release/evil", nil, signed(olga, "fleetctl-signoff-rehearsal", nil))},
		{"a text beside a signature over the plan", "is a text of its own", put("plan-approvals/olga", []byte("I do not approve\n"), nil)},
		{"an empty text beside a signature over the plan", "is a text of its own", put("plan-approvals/olga", []byte{}, nil)},
		{"a text without a signature among the plan's", "has no signature beside it", put("plan-approvals/evil", []byte("x\n"), nil)},
		{"a stranger's signature over another plan", "the signature does not verify", put("plan-approvals/zz", nil, signed(stranger, "fleetctl-plan-rehearsal", []byte("another plan")))},
		{"a signature over the plan that is none", "is no SSH signature", put("plan-approvals/zz", nil, []byte("junk\n"))},
		{"junk among the release's sign-offs", `has "junk" where "fleetctl signoff v1" was expected`, put("signoffs/release/zz", []byte("junk\n"), []byte("junk\n"))},
		{"junk among the approvals", `has "junk" where "fleetctl approval v1" was expected`, put(open("zz"), []byte("junk\n"), []byte("junk\n"))},
		{"a folder within the folder", "its name can't be that of a signature", approval(olga, "approvals/more/"+strings.TrimPrefix(open("zz"), "approvals/"), none)},
		{"an approval under the name of another act", "its name must be open-", approval(olga, "approvals/request-1-zz", none)},
		{"an approval under the name of nobody", "its name must be open-", approval(olga, open(""), none)},
		{"an approval of another ceremony", "approves an act of another ceremony", approval(stranger, open("zz"), func(p *ceremony.Approval) { p.Ceremony = "another.1.20261121.00000000" })},
		{"an approval under another plan", "approves an act of another ceremony", approval(stranger, open("zz"), func(p *ceremony.Approval) { p.Plan[0] ^= 1 })},
		{"an approval in production", "approves an act of another ceremony", approval(stranger, open("zz"), func(p *ceremony.Approval) { p.Mode = ceremony.Production })},
		{"an approval over a record that isn't there", "that is not this transcript's", approval(stranger, open("zz"), func(p *ceremony.Approval) { p.Head.Hash[0] ^= 1 })},
		{"an approval over a record yet to come", "that is not this transcript's", approval(stranger, "approvals/open-9999-zz", func(p *ceremony.Approval) { p.Head.N = 9999 })},
		{"an approval with a subject too many", "names a subject, and an approval of open has none", approval(stranger, open("zz"), func(p *ceremony.Approval) { p.Subject[0] = 1 })},
		{"an approval of no subject", "approves request and names no subject", approval(stranger, strings.Replace(open("zz"), "open", "request", 1), func(p *ceremony.Approval) { p.Act = ceremony.ApproveRequest })},
		{"an exception that isn't on the record", "accepts an exception that is not on the record", approval(stranger, strings.Replace(open("zz"), "open", "exception", 1), func(p *ceremony.Approval) {
			p.Act, p.Subject = ceremony.ApproveException, p.Head.Hash
		})},
		{"an abort that isn't on the record", "attests an abort that is not the last record", approval(stranger, strings.Replace(open("zz"), "open", "abort", 1), func(p *ceremony.Approval) {
			p.Act, p.Subject = ceremony.ApproveAbort, p.Head.Hash
		})},
		{"an abort over a record before it", "attests an abort that is not the last record", approval(stranger, strings.Replace(open("zz"), "open", "abort", 1), func(p *ceremony.Approval) {
			p.Act, p.Subject = ceremony.ApproveAbort, a.Head
		})},
		{"an approval in a witness's part", "is signed as witness; open is approved as officer", approval(stranger, open("zz"), func(p *ceremony.Approval) { p.Role = ceremony.Witness })},
		{"an approval whose signature is another text's", "the signature does not verify", func(x evidence.Files) {
			approval(stranger, open("zz"), none)(x)
			x[open("zz")+".sig"] = signed(stranger, "fleetctl-session-rehearsal", []byte("x"))
		}},
		{"a sign-off of another ceremony", "signs off something else than this stage of this ceremony", signoff(stranger, "signoffs/release/zz", func(s *ceremony.Signoff) { s.Ceremony = "another.1.20261121.00000000" })},
		{"a sign-off of another record", "signs off something else than this stage of this ceremony", signoff(stranger, "signoffs/release/zz", func(s *ceremony.Signoff) { s.Head.N++ })},
		{"a sign-off of another stage", "signs off something else than this stage of this ceremony", signoff(stranger, "signoffs/release/zz", func(s *ceremony.Signoff) { s.Stage = ceremony.StageClose })},
		{"a sign-off of another artifact", "signs off something else than this stage of this ceremony", signoff(stranger, "signoffs/release/zz", func(s *ceremony.Signoff) { s.Artifact[0] ^= 1 })},
		{"a sign-off by a king", `is signed as "king", which is none of officer, witness, auditor`, signoff(stranger, "signoffs/release/zz", func(s *ceremony.Signoff) { s.Role = "king" })},
		{"a sign-off that agrees with an exception nobody made", "agrees with exception 7", signoff(stranger, "signoffs/release/zz", func(s *ceremony.Signoff) {
			s.Verdict, s.Exceptions = ceremony.AgreeWithExceptions, []int{7}
		})},
		{"an officer of the plan who does not agree", "ozan does not agree", signoff(f.Parties.People["ozan"], "signoffs/release/ozan", func(s *ceremony.Signoff) { s.Verdict = ceremony.DoNotAgree })},
		{"an officer of the plan in the auditor's part", "ozan, officer, signed it as auditor", signoff(f.Parties.People["ozan"], "signoffs/release/ozan", func(s *ceremony.Signoff) { s.Role = ceremony.Auditor })},
	}
	return list
}

// released is a fleet whose ceremony was aborted after its release was signed
// off, and whose abort officers signed.
func released(t *testing.T, name string) (*testfleet.Fleet, *ceremony.Account) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: name, To: testfleet.ToFleetRun})
	c := f.Config(f.Dir, testfleet.Random(name))
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, c.Random))
	must(j.Build(context.Background(), c.Participants))
	if err := f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	c.Now = f.Now
	a := must(engine.Abort(context.Background(), c, "fire"))
	signAbort(t, f, a.AbortApproval(), testfleet.Signers[:2]...)
	return f, a
}

// TestNoFileOfWhatPeopleSignedIsUnjudged: in a closed package and an aborted
// one, under policies that pin its people, nobody, or others.
func TestNoFileOfWhatPeopleSignedIsUnjudged(t *testing.T) {
	closed := testfleet.New(t, testfleet.Options{Name: "closed"})
	aborted, a := released(t, "aborted")
	left, _, err := closing.PackFolder(aborted.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	nobody := []string{"key.generated: device", "statement.signed: proven", "countersigned: proven"}
	for _, c := range []struct {
		name   string
		fleet  *testfleet.Fleet
		a      *ceremony.Account
		files  evidence.Files
		policy *evidence.Policy
		expect evidence.Type
	}{
		{"closed", closed, closed.Account, closed.Files, must(evidence.ParsePolicy("policy.yaml", closed.Policy)), ""},
		{"closed, nobody pinned", closed, closed.Account, closed.Files, without(t, closed.Policy, nobody), ""},
		{"closed, other people pinned", closed, closed.Account, closed.Files, others(t, closed.Policy, nobody), ""},
		{"aborted", aborted, a, left, must(evidence.ParsePolicy("policy.yaml", aborted.Policy)), evidence.TypeAbort},
		{"aborted, other people pinned", aborted, a, left, others(t, aborted.Policy, nobody), evidence.TypeAbort},
	} {
		verify := func(x evidence.Files) *evidence.Report {
			x = closedAgain(c.fleet, x)
			x[evidence.ManifestFile] = with(x, evidence.ManifestFile, nil).Manifest()
			var logged []byte
			if archive, err := evidence.Pack(x); err == nil {
				logged = endLogged(c.fleet, archive)
			}
			return must(evidence.Verify(evidence.Input{File: "f", Folder: x, Logged: logged}, c.policy, evidence.Question{Now: c.fleet.Now(), Expect: c.expect}))
		}
		twin := maps.Clone(c.files)
		if r := verify(twin); len(r.Problems) > 0 || !strings.Contains(c.name, "other") && !r.Verified {
			t.Fatalf("%s: the honest one: verified %t, %+v", c.name, r.Verified, r.Problems)
		}
		list := junkIn(c.fleet, c.a)
		for _, j := range list {
			if c.expect == evidence.TypeAbort && strings.HasSuffix(j.name, "who does not agree") {
				continue // what an abort may be for
			}
			x := maps.Clone(c.files)
			j.add(x)
			r := verify(x)
			said := false
			for _, p := range r.Problems {
				said = said || strings.Contains(p.Where+": "+p.What, j.want)
			}
			if r.Verified || !said {
				t.Errorf("%s, %s: verified %t, want a problem that says %q: %+v", c.name, j.name, r.Verified, j.want, r.Problems)
			}
		}
		t.Logf("%s: %d kinds of junk", c.name, len(list))
	}
}

// TestAStrangersSignatureIsReadAndCountsForNothing: by the format it is no fault.
func TestAStrangersSignatureIsReadAndCountsForNothing(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	stranger := testfleet.NewPerson("nobody", ceremony.Officer)
	s := must(f.Account.WantedSignoff(ceremony.StageClose))
	s.Role, s.Verdict = ceremony.Officer, ceremony.DoNotAgree
	x := with(f.Files, "signoffs/close/zz", s.Text())
	x = with(x, "signoffs/close/zz.sig", must(stranger.Sign(s.Namespace(), s.Text())).Armor())
	r := must(evidence.Verify(evidence.Input{File: "f", Data: must(sealed(x))}, must(evidence.ParsePolicy("p", f.Policy)), evidence.Question{Now: f.Now()}))
	if !r.Verified {
		t.Errorf("a stranger keeps a package from being verified: %+v", r.Problems)
	}
}

// closedAgain makes everything fit that a forger without a key can make, and has
// everybody sign the new close who signed the old one.
func closedAgain(f *testfleet.Fleet, x evidence.Files, keep ...string) evidence.Files {
	x = reseal(x, nil, keep...)
	a, _, err := ceremony.Replay(f.Plan, "transcript", x[ceremony.TranscriptFile])
	if err != nil || a.Close == nil {
		return x
	}
	for _, name := range testfleet.Signers {
		s := must(a.WantedSignoff(ceremony.StageClose))
		p := f.Parties.People[name]
		s.Role, s.Verdict = p.Role, ceremony.Agree
		x["signoffs/close/"+name], x["signoffs/close/"+name+".sig"] = s.Text(), must(p.Sign(s.Namespace(), s.Text())).Armor()
	}
	return x
}

// without is a policy that pins no people and demands only these claims.
func without(t *testing.T, policy []byte, claims []string) *evidence.Policy {
	t.Helper()
	text, rest, ok := strings.Cut(string(policy), "\nthreshold:")
	_, tail, ok2 := strings.Cut(rest, "\nthird_parties_needed:")
	if !ok || !ok2 {
		t.Fatal("the policy pins no people")
	}
	head, _, _ := strings.Cut("\nthird_parties_needed:"+tail, "\nclaims:")
	return must(evidence.ParsePolicy("policy.yaml", []byte(text+head+"\nclaims:\n  "+strings.Join(claims, "\n  ")+"\n")))
}

// others is a policy that pins other people than the plan names.
func others(t *testing.T, policy []byte, claims []string) *evidence.Policy {
	t.Helper()
	text := string(policy)
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "key: ssh-ed25519 ") {
			text = strings.Replace(text, line, "    key: "+testfleet.NewPerson("instead of "+line, "").Key().String(), 1)
		}
	}
	head, _, ok := strings.Cut(text, "\nclaims:")
	if !ok {
		t.Fatal("the policy demands nothing")
	}
	return must(evidence.ParsePolicy("policy.yaml", []byte(head+"\nclaims:\n  "+strings.Join(claims, "\n  ")+"\n")))
}
