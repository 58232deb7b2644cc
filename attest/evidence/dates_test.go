package evidence_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// dated is a fleet whose bundle and whose end two witnesses have seen.
type dated struct {
	*testfleet.Fleet
	witnesses *testfleet.Witnesses
	logged    time.Time // when they had seen the bundle
	proof     []byte    // that the end is logged
	closed    time.Time // when they had seen that
	before    int64     // size of the log with the bundle
}

// newDated lives to the end, a month after the bundle was logged. between acts
// in that month.
func newDated(t testing.TB, name string, between func(*testfleet.Fleet, *engine.Journal)) *dated {
	t.Helper()
	d := &dated{Fleet: testfleet.New(t, testfleet.Options{Name: name, Witnesses: 2, To: testfleet.ToLogged})}
	d.witnesses = d.Parties.Log.(*testfleet.Witnesses)
	d.logged, d.before = d.Last(), d.witnesses.Size()
	j := must(d.Journal())
	defer j.Close()
	d.Wait(29 * 24 * time.Hour)
	if between != nil {
		between(d.Fleet, j)
	}
	if err := d.End(j); err != nil {
		t.Fatal(err)
	}
	d.log()
	return d
}

func (d *dated) log() {
	d.closed = d.Last()
	d.proof = must(d.witnesses.Append(must(evidence.PackageLeaf("evidence.tar", d.Archive)).Marshal()))
}

func (d *dated) judge(p *evidence.Policy, now time.Time, more ...evidence.Input) *evidence.Report {
	return must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: d.Archive, Logged: d.proof, Proofs: more}, p, evidence.Question{Now: now}))
}

// pinned is the fleet's policy, which demands witnesses and the end's entry too.
func (d *dated) pinned(edits ...string) *evidence.Policy {
	text := string(d.Policy) + "  log.witnessed: proven\n  evidence.logged: proven\n"
	return must(evidence.ParsePolicy("policy.yaml", []byte(strings.NewReplacer(edits...).Replace(text))))
}

// window is an edit that gives the key of a name a window.
func window(name, text string) []string {
	line := "  - name: " + name + "\n"
	return []string{line, line + "    window: {" + text + "}\n"}
}

func until(what string, t time.Time) string {
	return what + ": " + t.UTC().Format(time.RFC3339)
}

func both(a, b []string) []string { return append(a, b...) }

// exception is put on the record and accepted by the two officers who sign.
func exception(f *testfleet.Fleet, j *engine.Journal) {
	must(j.Append(&ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c"}))
	people := must(ceremony.PeopleOf(f.Plan))
	if err := f.Approve(context.Background(), f.Dir, people, must(j.Account().ExceptionApproval(1)), nil); err != nil {
		panic(err)
	}
}

func TestASignatureCountsByWhenItWasWitnessed(t *testing.T) {
	plain := newDated(t, "plain", nil)
	late := newDated(t, "late", exception)
	hour := time.Hour
	now := plain.closed.AddDate(1, 0, 0)
	officers := func(text string) []string { return both(window("olga", text), window("omar", text)) }
	for name, c := range map[string]struct {
		fleet *dated
		edits []string
		lacks string // the claim that isn't shown; empty: verified
		says  string
	}{
		"no windows":                             {plain, nil, "", ""},
		"no windows, an exception after the log": {late, nil, "", ""},
		"officers' keys end between the bundle and the close": {plain, officers(until("not_after", plain.logged.Add(hour))), evidence.ClaimCloseSignoff,
			"witnesses had it by " + plain.closed.Format(time.RFC3339) + " at the latest, and neither that nor now is inside its key's window; and 1 more"},
		"officers' keys end after the close": {plain, officers(until("not_after", plain.closed.Add(hour))), "", ""},
		"officers' keys stolen before an exception that they accept": {late, officers(until("compromised_after", late.logged.Add(hour))), evidence.ClaimPlanApproved,
			`the act "exception" after record`},
		"officers' keys stolen after the close":   {late, officers(until("compromised_after", late.closed.Add(hour))), "", ""},
		"officers' keys stolen before the bundle": {plain, officers(until("compromised_after", plain.logged.Add(-hour))), evidence.ClaimPlanApproved, "0 of 2 officers"},
		"officers' keys begin after the bundle":   {plain, officers(until("not_before", plain.logged.Add(hour))), evidence.ClaimPlanApproved, "0 of 2 officers"},
		"the witness's key ends before the close": {plain, window("wanda", until("not_after", plain.logged.Add(hour))), evidence.ClaimCloseSignoff, "no witness has signed; not counted: signoffs/close/wanda.sig"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.fleet.judge(c.fleet.pinned(c.edits...), now)
			if len(r.Problems) > 0 || r.Verified != (c.lacks == "") {
				t.Fatalf("verified is %t: %+v", r.Verified, r.Problems)
			}
			if c.lacks == "" {
				return
			}
			if claim := r.Claim(c.lacks); claim.Grade != evidence.NotShown || !strings.Contains(claim.Detail, c.says) {
				t.Errorf("%s is %s: %s", c.lacks, claim.Grade, claim.Detail)
			}
		})
	}
}

// Without witnesses nothing dates a signature but the verifier's own time.
func TestWithoutWitnessesOnlyNowCounts(t *testing.T) {
	d := newDated(t, "unwitnessed", nil)
	d.witnesses.At = func(int) time.Time { return time.Time{} }
	d.proof = must(d.witnesses.Prove(d.witnesses.Size()-1, d.witnesses.Size()))
	p := d.pinned(both(window("olga", until("not_after", d.closed.Add(time.Hour))), []string{"  evidence.logged: proven\n", ""})...)
	if r := d.judge(p, d.closed); !r.Verified {
		t.Fatalf("inside the window it isn't verified: %+v", r.Claims)
	}
	r := d.judge(p, d.closed.AddDate(1, 0, 0))
	claim := r.Claim(evidence.ClaimCloseSignoff)
	if r.Verified || claim.Grade != evidence.NotShown || !strings.Contains(claim.Detail, "no witness says when it was made") {
		t.Errorf("%s: %s", claim.Grade, claim.Detail)
	}
}

// Nothing is recorded or signed after it was seen, or after the time at which
// it is judged.
func TestTimeMakesSense(t *testing.T) {
	d := newDated(t, "honest times", nil)
	p := d.pinned()
	for name, c := range map[string]struct {
		now  time.Time
		says string
	}{
		"a minute early": {d.closed.Add(-time.Minute), ""},
		"a week early":   {d.closed.AddDate(0, 0, -7), "was recorded at"},
		"years early":    {d.closed.AddDate(-6, 0, 0), "its artifact was created at"},
	} {
		r := d.judge(p, c.now)
		if c.says == "" {
			if !r.Verified {
				t.Errorf("%s: %+v %+v", name, r.Problems, r.Claims)
			}
			continue
		}
		if r.Verified || !strings.Contains(fmt.Sprint(r.Problems), c.says) {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		}
	}

	// The witnesses' clocks, or whoever has their keys, say that they saw
	// everything in 2020.
	for name, at := range map[string]time.Time{"in 2020": d.logged.AddDate(-6, 0, 0), "an hour before it was made": d.logged.Add(-time.Hour)} {
		f := testfleet.New(t, testfleet.Options{Name: "backdated " + name, Witnesses: 2, To: -1})
		w := f.Parties.Log.(*testfleet.Witnesses)
		w.At = func(int) time.Time { return at }
		f.Anyway = func(error) error { return nil } // the room would see it, too
		old := lived(t, f)
		if r := old.judge(old.pinned(), d.closed.AddDate(1, 0, 0)); r.Verified || !strings.Contains(fmt.Sprint(r.Problems), "by when witnesses had seen it") {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		}
	}

	// An entry of the end that is older than the end.
	early := newDated(t, "an early end", nil)
	early.witnesses.At = func(int) time.Time { return early.logged.Add(time.Hour) }
	early.log()
	if r := early.judge(early.pinned(), d.closed.AddDate(1, 0, 0)); r.Verified || !strings.Contains(fmt.Sprint(r.Problems), "the ceremony had ended") {
		t.Errorf("verified is %t: %+v", r.Verified, r.Problems)
	}
}

// lived takes a fleet that was prepared through its whole life, with a proof that
// no ceremony takes: whoever writes the records himself can.
func lived(t *testing.T, f *testfleet.Fleet) *dated {
	t.Helper()
	if err := f.Live(); err == nil || !strings.Contains(err.Error(), "verifiers would refuse it") {
		t.Fatalf("the ceremony took the proof: %v", err)
	}
	j := must(f.Journal())
	defer j.Close()
	b := must(j.Account().Bundle()).Raw()
	proof := must(f.Parties.Log.Append(b))
	if err := os.WriteFile(filepath.Join(f.Dir, ceremony.ProofFile), proof, 0o644); err != nil {
		t.Fatal(err)
	}
	f.Anyway = func(error) error { return nil } // a close says that it would not verify
	must(j.Append(&ceremony.LogProof{Bundle: sha256.Sum256(b), Proof: sha256.Sum256(proof)}))
	if err := f.End(j); err != nil {
		t.Fatal(err)
	}
	d := &dated{Fleet: f, witnesses: f.Parties.Log.(*testfleet.Witnesses)}
	d.log()
	return d
}

// Of several proofs the earliest quorum counts; one that proves nothing here is
// refused.
func TestSeveralProofsOfOneEntry(t *testing.T) {
	d := newDated(t, "several proofs", nil)
	w := d.witnesses
	bundle, end := d.before-1, w.Size()-1
	year := d.closed.AddDate(1, 0, 0)
	w.At = func(int) time.Time { return year }
	fresh := must(w.Prove(bundle, w.Size()))
	freshEnd := must(w.Prove(end, w.Size()))
	other := must(w.Prove(0, w.Size()))
	p := d.pinned(both(window("olga", until("not_after", d.logged.Add(time.Hour))), window("omar", until("not_after", d.closed.Add(time.Hour))))...)
	now := year.AddDate(1, 0, 0)

	// Only the old proofs date what officers signed.
	first := d.proof
	d.proof = freshEnd
	if r := d.judge(p, now, evidence.Input{File: "fresh", Data: fresh}); r.Claim(evidence.ClaimPlanApproved).Grade != evidence.Proven || r.Claim(evidence.ClaimCloseSignoff).Grade != evidence.NotShown {
		t.Errorf("with a fresh proof beside: %+v", r.Claims)
	}
	q := d.pinned(both(window("olga", until("not_after", d.closed.Add(time.Hour))), window("omar", until("not_after", d.closed.Add(time.Hour))))...)
	if r := d.judge(q, now); r.Verified {
		t.Error("a proof of a year later dates what was signed a year before")
	}
	r := d.judge(q, now, evidence.Input{File: "first", Data: first}, evidence.Input{File: "fresh", Data: fresh})
	if !r.Verified {
		t.Errorf("with the first proof beside the fresh one: %+v %+v", r.Problems, r.Claims)
	}
	if got := r.Claim(evidence.ClaimWitnessed).Detail; !strings.Contains(got, year.Format(time.RFC3339)) {
		t.Errorf("the newest quorum isn't told: %s", got)
	}
	for name, more := range map[string]evidence.Input{
		"of another entry": {File: "more", Data: other},
		"no proof":         {File: "more", Data: []byte("proof\n")},
		"a request":        {File: "more", Data: []byte("old 3\n")},
		"empty":            {File: "more"},
	} {
		if r := d.judge(d.pinned(), now, more); r.Verified || !strings.Contains(fmt.Sprint(r.Problems), "more") {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		}
	}
}

// The windows of log and witness keys stand beside the log policy.
func TestKeysOfLogAndWitnessesHaveWindows(t *testing.T) {
	d := newDated(t, "log windows", nil)
	now := d.closed.AddDate(1, 0, 0)
	windows := func(key, text string) []string {
		return []string{"\nlog_policy:", "\nlog_windows:\n  - key: " + key + "\n    window: {" + text + "}\nlog_policy:"}
	}
	log, w1 := d.witnesses.VKey(), d.witnesses.VKeys()[0]
	for name, c := range map[string]struct {
		edits []string
		lacks string
		says  string
	}{
		"the log's ended later":        {windows(log, until("not_after", d.closed.Add(time.Hour))), "", ""},
		"the log's ended before":       {windows(log, until("not_after", d.logged.Add(-time.Hour))), evidence.ClaimIncluded, "the window of the log's key covers neither"},
		"the log's stolen later":       {windows(log, until("compromised_after", d.closed.Add(time.Hour))), "", ""},
		"the log's stolen in between":  {windows(log, until("compromised_after", d.logged.Add(time.Hour))), evidence.ClaimLogged, "the window of the log's key covers neither"},
		"a witness's stolen, ever":     {windows(w1, until("compromised_after", d.closed.Add(time.Hour))), evidence.ClaimWitnessed, "its key is compromised since"},
		"a witness's will be stolen":   {windows(w1, until("compromised_after", now.Add(time.Hour))), "", ""},
		"a witness's ended, no others": {windows(w1, until("not_after", d.closed.Add(time.Hour))), evidence.ClaimWitnessed, "no quorum of keys that count now"},
		"a witness's begins later":     {windows(w1, until("not_before", d.logged.Add(time.Hour))), evidence.ClaimWitnessed, "outside its key's window"},
	} {
		r := d.judge(d.pinned(c.edits...), now)
		if r.Verified != (c.lacks == "") || len(r.Problems) > 0 {
			t.Errorf("%s: verified is %t: %+v", name, r.Verified, r.Problems)
		} else if c.lacks != "" && !strings.Contains(r.Claim(c.lacks).Detail, c.says) {
			t.Errorf("%s: %s", name, r.Claim(c.lacks).Detail)
		}
	}
	for name, edits := range map[string][]string{
		"no key of the policy": windows("log.example/other+be4dce80+AeXB7tgyQOJDok1bPZIqwAEuV1teyhjGSY2fougWy3be", "not_after: 2026-01-01T00:00:00Z"),
		"no key":               windows("w1", "not_after: 2026-01-01T00:00:00Z"),
	} {
		text := strings.NewReplacer(edits...).Replace(string(d.Policy))
		if _, err := evidence.ParsePolicy("policy.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "log_windows") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
