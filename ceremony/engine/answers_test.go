package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const (
	party1 = testfleet.FirstAuditor
	party2 = "auditor-2.example"
	party3 = "auditor-3.example"
)

// twoOfThree is a fleet of three third parties, two of which are needed.
func twoOfThree(t testing.TB, o testfleet.Options) *testfleet.Fleet {
	t.Helper()
	o.HSMs, o.Others, o.Needed = 1, 2, 2
	return testfleet.New(t, o)
}

// signedBy is a response by a party, of whatever a test likes.
func signedBy(f *testfleet.Fleet, party string, at time.Time, edit func(*bundle.Statement)) *bundle.Response {
	who := f.Parties.Auditor(party)
	s := must(bundle.NewStatement(1, f.Plan.Namespace, uint64(at.UnixMilli()), f.Plan.Epoch, f.Account.Release.Artifact))
	if edit != nil {
		edit(s)
	}
	return must(bundle.NewResponse(bundle.Signed{Key: who.Key(), Statement: must(s.Seal(who.Key(), must(who.Sign(s.Message()))))}))
}

func journal(t *testing.T, f *testfleet.Fleet) *engine.Journal {
	t.Helper()
	j := must(f.Journal())
	t.Cleanup(func() { j.Close() })
	return j
}

func TestPlansOfSeveralThirdParties(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{To: testfleet.ToRequest})
	text := string(f.Plan.Raw())
	if f.Plan.Answers() != 2 || !strings.Contains(text, "\nthird_parties_needed: 2\n") {
		t.Error(text)
	}
	for _, c := range []struct{ old, new, want string }{
		{"third_parties_needed: 2", "third_parties_needed: 0", "third_parties_needed is 0; with 3 third parties it is from 1 to 3"},
		{"third_parties_needed: 2", "third_parties_needed: 4", "third_parties_needed is 4; with 3 third parties it is from 1 to 3"},
		{"third_parties_needed: 2", "third_parties_needed: two", "third_parties_needed"},
		{"name: " + party2, "name: " + party1, `third party "` + party1 + `" is there twice`},
	} {
		_, err := ceremony.ParsePlan("plan.yaml", []byte(strings.Replace(text, c.old, c.new, 1)))
		wantError(t, err, c.want)
	}
	all := must(ceremony.ParsePlan("plan.yaml", []byte(strings.Replace(text, "third_parties_needed: 2\n", "", 1))))
	answers := func(p *ceremony.Plan) (titles []string) {
		for _, s := range p.Steps() {
			if s.Act == ceremony.ActResponse {
				titles = append(titles, script.InstructionsFor(p, s).Title)
			}
		}
		return titles
	}
	if got := answers(all); all.Answers() != 3 || len(got) != 3 || got[2] != "Take in answer 3 of 3" {
		t.Errorf("%q", got)
	}
	if got := answers(f.Plan); len(got) != 2 || got[1] != "Take in answer 2 of the 2 needed of 3" {
		t.Errorf("%q", got)
	}
	if d := draft.Rehearsal(f.Plan); d.Needed != 2 {
		t.Error("a rehearsal needs another number")
	}
}

func TestTheOperatorSignsOnceEnoughHaveAnswered(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{To: testfleet.ToRequest})
	j := journal(t, f)
	a := j.Account()
	take := func(party string) {
		t.Helper()
		if _, err := j.ImportResponse(must(f.AnswerOf(party, f.Request, f.Now().Add(-time.Hour+time.Second)))); err != nil {
			t.Fatal(err)
		}
	}
	take(party3)
	if _, err := a.CountersignText(); err == nil || err.Error() != "1 of the 2 third parties needed have answered" {
		t.Error(err)
	}
	if got := a.Absent(); !slices.Equal(got, []string{party1, party2}) {
		t.Error(got)
	}
	take(party1)
	one := must(a.CountersignText())
	take(party2) // a third one in time is in the bundle too
	two := must(a.CountersignText())
	if strings.Count(string(one), "\nsigner ") != 2 || strings.Count(string(two), "\nsigner ") != 3 || len(a.Late()) != 0 {
		t.Errorf("%s%s", one, two)
	}
	if s, _ := a.Next(); s.Act != ceremony.ActCountersign || len(a.Absent()) != 0 {
		t.Error(s)
	}
}

// Each bad answer leaves one record, whatever follows, and takes nothing.
func TestABadAnswerIsRecordedAndRefused(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{To: testfleet.ToRequest})
	f.Wait(time.Hour)
	j := journal(t, f)
	a := j.Account()
	at := f.Now().Add(-time.Hour)
	good := signedBy(f, party1, at, nil)
	if _, err := j.ImportResponse(good); err != nil {
		t.Fatal(err)
	}
	foreign := signedBy(f, party2, at, nil)
	swapped := foreign.Statement.Encode(good.Statement.Signature)
	bad := must(bundle.NewResponse(bundle.Signed{Key: foreign.Key, Statement: must(bundle.ParseStatement("", swapped))}))
	stranger := testfleet.SoftSigner("ed25519", "nobody's")
	raw, _ := stranger.Public.Ed25519()
	s := must(bundle.NewStatement(1, f.Plan.Namespace, uint64(at.UnixMilli()), 1, a.Release.Artifact))
	for i, c := range []struct {
		r        *bundle.Response
		want     string
		evidence bool // it proves by itself that a third party contradicted itself
	}{
		{bad, "the statement of " + party2, false},
		{signedBy(f, party2, at, func(s *bundle.Statement) { s.Digest[0] ^= 1 }), party2 + " signed another artifact", true},
		{signedBy(f, party2, at, func(s *bundle.Statement) { s.Epoch = 2 }), party2 + " signed " + f.Plan.Namespace + ", epoch 2, not", false},
		{signedBy(f, party2, at, func(s *bundle.Statement) { s.Namespace += "x" }), "v1x, epoch 1, not", false},
		{signedBy(f, party2, at, func(s *bundle.Statement) { s.Ciphersuite = 2 }), party2 + " signed with ciphersuite 2, the plan says 1", false},
		{signedBy(f, party2, at.Add(-24*time.Hour), nil), "before the artifact was released", false},
		{signedBy(f, party2, at.Add(24*time.Hour), nil), "which is in the future", false},
		{signedBy(f, party1, at.Add(time.Second), nil), party1 + " has answered already, and this is a second statement about the epoch", true},
		{must(bundle.NewResponse(bundle.Signed{Key: [32]byte(raw), Statement: must(s.Seal([32]byte(raw), must(stranger.Sign(s.Message()))))})), "is not that of a third party of the plan", false},
	} {
		records, proofs := a.N, len(a.Contradictions())
		for range 2 { // the second time nothing more is written
			_, err := j.ImportResponse(c.r)
			var refused *engine.Refused
			if wantError(t, err, c.want); !errors.As(err, &refused) {
				t.Errorf("%v", err)
			}
		}
		if a.N != records+1 || len(a.Refusals) != i+1 || !strings.Contains(a.Refusals[i].Reason, c.want) || len(a.Responses) != 1 {
			t.Errorf("%s: %d records, %d refusals", c.want, a.N-records, len(a.Refusals))
		}
		if got := len(a.Contradictions()) - proofs; (got == 1) != c.evidence {
			t.Errorf("%s: %d contradictions", c.want, got)
		}
	}
	if _, err := j.ImportResponse(good); !errors.Is(err, ceremony.ErrAnswered) {
		t.Error(err)
	}
	// Whoever carries an answer can leave out what isn't signed. That makes no
	// second statement of it, and no proof against the party.
	served := good.Statement.Raw()
	cut := bytes.Replace(served, fmt.Appendf(nil, `"key_id":%d,`, good.Key[31]), nil, 1)
	if bytes.Equal(cut, served) {
		t.Fatalf("%s has no key_id", served)
	}
	thinner := must(bundle.NewResponse(bundle.Signed{Key: good.Key, Statement: must(bundle.ParseStatement("", cut))}))
	records, proofs := a.N, len(a.Contradictions())
	if _, err := j.ImportResponse(thinner); !errors.Is(err, ceremony.ErrAnswered) || a.N != records {
		t.Errorf("the same answer in other JSON: %v", err)
	}
	// Nor where a record says that it was refused.
	must(j.Append(&ceremony.Refusal{Key: good.Key, Statement: cut, Reason: "brought again"}))
	if len(a.Contradictions()) != proofs {
		t.Error("a statement contradicts itself")
	}
	// The ceremony goes on as if nothing had been brought.
	if _, err := j.ImportResponse(foreign); err != nil {
		t.Fatal(err)
	}
	if s, _ := a.Next(); s.Act != ceremony.ActCountersign {
		t.Error(s)
	}
	if again := must(folder.Read(f.Dir)); again.Head != a.Head || len(again.Refusals) != 10 {
		t.Error("it is not read back as it was written")
	}
}

func TestALateAnswerIsTakenUntilTheCloseAndChangesNoBundle(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{Absent: []string{party2}, To: testfleet.ToLogged})
	f.Wait(2 * time.Hour)
	j := journal(t, f)
	a := j.Account()
	before := must(a.Bundle()).Raw()
	r := must(f.AnswerOf(party2, f.Request, f.Now().Add(-time.Hour)))
	if _, err := j.Append(&ceremony.Adjourn{Reason: "night", Seals: []ceremony.Seal{}}); err != nil {
		t.Fatal(err)
	}
	_, err := j.ImportResponse(r)
	wantError(t, err, "adjourned")
	if err := f.Approve(t.Context(), f.Dir, must(ceremony.NewPeople(f.Plan.People, 2)), a.Wanted(ceremony.ApproveReconvene, [32]byte{}), nil); err != nil {
		t.Fatal(err)
	}
	must(j.Append(&ceremony.Reconvene{Seals: []ceremony.Seal{}}))
	if _, err := j.ImportResponse(r); err != nil {
		t.Fatal(err)
	}
	again := must(must(folder.Read(f.Dir)).Bundle()).Raw()
	if string(again) != string(before) || len(a.Late()) != 1 || len(a.Statements()) != 3 {
		t.Error("the bundle changed, or it is not on the record")
	}
	if err := f.End(j); err != nil {
		t.Fatal(err)
	}
	_, err = j.ImportResponse(r)
	wantError(t, err, "the ceremony has ended")
}

// Whoever writes a transcript with every key can't leave out an answer that is
// needed, count one twice, or refuse what was taken.

// What a live service serves is taken in as it is. Only what contradicts the request
// is recorded as refused: anybody can have another epoch's statement.
func TestAServedStatementIsTakenInByteForByte(t *testing.T) {
	f := twoOfThree(t, testfleet.Options{To: testfleet.ToRequest})
	f.Wait(time.Hour)
	j := journal(t, f)
	a := j.Account()
	at := f.Now().Add(-time.Hour)
	served := func(edit func(*bundle.Statement)) *bundle.Response {
		raw := signedBy(f, party2, at, edit).Statement.Raw()
		return must(bundle.ParseAnswer("answer", fmt.Appendf(nil, "\n{\"of\":\"the service\",%s\n\n", raw[1:]), f.Plan.PartyKeys()))
	}
	for _, c := range []struct {
		r        *bundle.Response
		want     string
		recorded bool
	}{
		{served(func(s *bundle.Statement) { s.Epoch = 2 }), "answer: " + party2 + "'s statement is about epoch 2 of " + f.Plan.Namespace + "; epoch 1 of " + f.Plan.Namespace + " was asked for", false},
		{served(func(s *bundle.Statement) { s.Namespace += "x" }), "v1x; epoch 1 of", false},
		{served(func(s *bundle.Statement) { s.Ciphersuite = 2 }), party2 + "'s statement has ciphersuite 2; the plan says 1", false},
		{served(func(s *bundle.Statement) { s.Digest[0] ^= 1 }), party2 + " signed another artifact", true},
		{served(func(s *bundle.Statement) { s.Ciphersuite = 2; s.Digest[0] ^= 2 }), party2 + " signed with ciphersuite 2, the plan says 1", true},
		{served(func(s *bundle.Statement) { s.Timestamp -= 48 * 3600 * 1000 }), "before the artifact was released", true},
	} {
		records := a.N
		for range 2 {
			_, err := j.ImportResponse(c.r)
			var refused *engine.Refused
			if wantError(t, err, c.want); errors.As(err, &refused) != c.recorded || errors.Is(err, bundle.ErrNotAsked) == c.recorded {
				t.Errorf("%v", err)
			}
		}
		if (a.N != records) != c.recorded || len(a.Responses) != 0 {
			t.Errorf("%s: %d records", c.want, a.N-records)
		}
	}
	if list := a.Contradictions(); len(list) != 2 || list[1].Statement.Ciphersuite != 2 || !bytes.Equal(list[0].Statement.Raw(), a.Refusals[0].Statement) || !bytes.HasPrefix(a.Refusals[0].Statement, []byte("\n{\"of\"")) {
		t.Error("the statement about another artifact is not kept as it came")
	}
	good := served(nil)
	if _, err := j.ImportResponse(good); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Responses[0].Statement, good.Raw()) || len(a.Statements()) != 1 {
		t.Errorf("%q is on the record", a.Responses[0].Statement)
	}
	if _, err := j.ImportResponse(signedBy(f, party2, at, nil)); !errors.Is(err, ceremony.ErrAnswered) {
		t.Errorf("the same answer as a response: %v", err)
	}
	if again := must(folder.Read(f.Dir)); again.Head != a.Head {
		t.Error("it is not read back as it was written")
	}
}
