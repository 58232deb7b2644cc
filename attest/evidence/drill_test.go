package evidence_test

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// drilled is a fleet that was drilled before it was closed.
func drilled(t *testing.T, o testfleet.Options) *testfleet.Fleet {
	o.Drill = []string{"sessions", "logins"}
	return testfleet.New(t, o)
}

// drillJudged is what the fleet's own policy says of files.
func drillJudged(t *testing.T, f *testfleet.Fleet, files evidence.Files) (*evidence.Report, *evidence.Claim) {
	t.Helper()
	p := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	r := must(evidence.Verify(evidence.Input{File: "evidence", Folder: files}, p, evidence.Question{Now: f.Now()}))
	return r, r.Claim(evidence.ClaimDrilled)
}

func failedDrill(r *report.Report) {
	r.Outcome, r.Faults = report.Failed, []string{"node hsm-2 hung"}
}

func TestADrillIsAttestedByTheClose(t *testing.T) {
	f := drilled(t, testfleet.Options{})
	r, c := drillJudged(t, f, f.Files)
	const want = "on a reference fleet, no vault, of 3 nodes: sessions, logins, faults, lock, rollback; 96 guesses, 60 tests; not run: succession, passkey; signed off with the close, by which people say that it was run"
	if !r.Verified || c.Grade != evidence.Attested || c.Detail != want {
		t.Errorf("verified %t, %s: %s\n%v", r.Verified, c.Grade, c.Detail, r.Problems)
	}
	bare := evidence.Files{}
	for path, data := range f.Files {
		if !strings.HasPrefix(path, ceremony.CloseSignoffDir+"/") {
			bare[path] = data
		}
	}
	bare[evidence.ManifestFile] = bare.Manifest()
	if r, c := drillJudged(t, f, bare); r.Verified || c.Grade != evidence.NotShown || c.Detail != "a drill passed, by its report, but the close is not signed off" {
		t.Errorf("unsigned: %s: %s", c.Grade, c.Detail)
	}
}

func TestADrillTellsOfTheEpochThatWentLive(t *testing.T) {
	f := drilledAndFollowed(t)
	if r, c := drillJudged(t, f, f.Files); !r.Verified || c.Grade != evidence.Attested || !strings.Contains(c.Detail, "rollback, succession; ") {
		t.Errorf("verified %t, %s: %s\n%v", r.Verified, c.Grade, c.Detail, r.Problems)
	}
}

func TestADrillIsDemandedOnlyWhereThePlanHasOne(t *testing.T) {
	demands := func(f *testfleet.Fleet) bool {
		for _, d := range must(evidence.ParsePolicy("policy.yaml", f.Policy)).Demands {
			if d.Claim == evidence.ClaimDrilled {
				return true
			}
		}
		return false
	}
	plain := testfleet.New(t, testfleet.Options{})
	if demands(plain) || !demands(testfleet.Prepared(t, testfleet.Options{Drill: []string{"sessions"}})) {
		t.Error("the policy demands a drill where the plan has none, or none where it has one")
	}
	if r, c := drillJudged(t, plain, plain.Files); !r.Verified || c.Grade != evidence.NotShown || c.Detail != "the plan has no drill" {
		t.Errorf("without a drill: verified %t, %s", r.Verified, c.Detail)
	}
}

// TestADrillThatDidNotPassShowsNothing: that there was none, or that it failed, is told.
func TestADrillThatDidNotPassShowsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		run  []func(*report.Report) // nil changes nothing
		none bool
		want string
		pass bool
	}{
		"none":                {none: true, want: "no drill passed; there was none: no power"},
		"failed, then none":   {run: []func(*report.Report){failedDrill}, none: true, want: "no drill passed; there was none: no power; failed before, by record "},
		"failed, then passed": {run: []func(*report.Report){failedDrill, nil}, pass: true, want: "; failed before, by record "},
		"something left": {run: []func(*report.Report){func(r *report.Report) {
			r.Anchors[1].Removed, r.Anchors[1].Reason = time.Time{}, "pulled out"
		}}, pass: true, want: "something was left in hsm-2 (record "},
	} {
		f := drilled(t, testfleet.Options{To: testfleet.ToLogged})
		j := must(f.Journal())
		for _, change := range c.run {
			f.Wait(10 * time.Minute)
			r := testfleet.DrillReport(j.Account(), f.Now().Add(-time.Hour))
			if change != nil {
				change(r)
			}
			if _, _, err := j.Drilled(must(r.Encode())); err != nil {
				t.Fatal(name, err)
			}
		}
		if c.none {
			must(j.NotDrilled("no power", "machine", "machine"))
		}
		if err := f.End(j); err != nil {
			t.Fatal(name, err)
		}
		j.Close()
		r, got := drillJudged(t, f, f.Files)
		if r.Verified != c.pass || (got.Grade == evidence.Attested) != c.pass || !strings.Contains(got.Detail, c.want) || len(r.Problems) > 0 {
			t.Errorf("%s: verified %t, %s: %s, %v", name, r.Verified, got.Grade, got.Detail, r.Problems)
		}
	}
}

// drillForgeries are packages in which whoever runs the machine has changed what a drill
// left, and made everything fit that can be made without signing.
func drillForgeries(f *testfleet.Fleet) map[string]struct {
	files evidence.Files
	want  string
} {
	const path = "drills/1.json"
	type forgery = struct {
		files evidence.Files
		want  string
	}
	edited := func(edit func(*report.Report)) evidence.Files {
		r := must(report.Parse(path, f.Files[path]))
		edit(r)
		return reseal(with(f.Files, path, strict.EncodeJSON(r)), nil)
	}
	recorded := func(edit func(*ceremony.Drill)) evidence.Files {
		return reseal(f.Files, func(r *ceremony.Record) {
			if c, ok := r.Content.(*ceremony.Drill); ok {
				edit(c)
				rewrite(r, c)
			}
		})
	}
	without := with(f.Files, path, nil)
	delete(without, path)
	sum := sha256.Sum256([]byte("other"))
	return map[string]forgery{
		"another fleet":              {edited(func(r *report.Report) { r.Fleet = "other-fleet" }), "is of the fleet other-fleet"},
		"another epoch before":       {edited(func(r *report.Report) { testfleet.Succeed(r, sum) }), "its next epoch follows the artifact"},
		"another ceremony":           {edited(func(r *report.Report) { r.Ceremony = "other" }), "is of the ceremony other"},
		"another epoch":              {edited(func(r *report.Report) { r.Epoch = 7 }), "is of epoch 7"},
		"another key":                {edited(func(r *report.Report) { r.Nodes[0].Agreement.SPKI = sum }), "used a sealing key that is not the ceremony's"},
		"before the bundle":          {edited(func(r *report.Report) { r.Started = r.Started.Add(-24 * time.Hour) }), "had nothing to answer with"},
		"ends after its record":      {edited(func(r *report.Report) { r.Ended = r.Ended.Add(time.Hour) }), "that is in the future"},
		"a key after the lock":       {edited(func(r *report.Report) { r.Counts.ReleasedAfterLock = 1 }), "says that the drill passed, and it did not: 1 keys were released after a lock"},
		"nothing happened":           {edited(testfleet.DeniedDrills()["nothing happened"].Change), "stage logins passed without a login or without a history"},
		"a node that never led":      {edited(testfleet.DeniedDrills()["a node that never led"].Change), "node hsm-3 never led"},
		"no leader after the killed": {edited(testfleet.DeniedDrills()["no leader after the killed"].Change), "and tests that passed killed 3 leaders"},
		"a figure taken out":         {edited(func(r *report.Report) { r.Figures = r.Figures[1:] }), "stage sessions passed without the figure session-median"},
		"a test taken out":           {edited(func(r *report.Report) { r.Tests = r.Tests[1:] }), "passed without the test tampered-bundle"},
		"failed, recorded as fine":   {edited(failedDrill), "does not say what record"},
		"a demanded stage not run":   {edited(leaveOutLogins), "does not say what record"},
		"a left anchor kept silent":  {edited(leftAnchor), "does not say what record"},
		"a node taken out": {edited(func(r *report.Report) {
			r.Nodes, r.Anchors, r.Counts = r.Nodes[:2], r.Anchors[:2], report.Counts{Logins: 40, Attempts: 64, Acknowledged: 60, Consumed: 60, Leaders: 6}
		}), "has 2 nodes, the plan has 3 HSMs"},
		"no report":             {reseal(without, nil, ceremony.TranscriptFile), "is missing: record"},
		"another size":          {recorded(func(c *ceremony.Drill) { c.Size++ }), "does not say what record"},
		"another report":        {recorded(func(c *ceremony.Drill) { c.Report = sum }), "is not the report whose digest record"},
		"left where nothing is": {recorded(func(c *ceremony.Drill) { c.Left = []string{"hsm-1"} }), "does not say what record"},
		"a report of no drill":  {reseal(with(f.Files, "drills/2.json", f.Files[path]), nil), "is the report of a drill that no record names"},
		"not in its one form":   {reseal(with(f.Files, path, append([]byte(" "), f.Files[path]...)), nil), "not written in the one form"},
		"recorded as failed":    {recorded(func(c *ceremony.Drill) { c.Outcome = ceremony.DrillFailed }), "wants a record \"drill\" here"},
	}
}

func leaveOutLogins(r *report.Report) {
	*r.Stage("logins") = report.Stage{Name: "logins", Outcome: report.NotRun, Reason: "no time"}
	tests := r.Tests[:0]
	for _, t := range r.Tests {
		if t.Stage != "logins" {
			tests = append(tests, t)
		}
	}
	r.Tests = tests
	r.Figures = slices.DeleteFunc(r.Figures, func(f report.Figure) bool {
		return slices.Contains(report.Measured("logins"), f.Name)
	})
}

func leftAnchor(r *report.Report) {
	r.Anchors[1].Removed, r.Anchors[1].Reason = time.Time{}, "pulled out"
}

func TestAReportThatContradictsThePackageIsAProblem(t *testing.T) {
	f := drilled(t, testfleet.Options{})
	for name, c := range drillForgeries(f) {
		r, claim := drillJudged(t, f, c.files)
		said := false
		for _, p := range r.Problems {
			said = said || strings.Contains(p.What, c.want)
		}
		if r.Verified || claim.Grade != evidence.NotShown || !said {
			t.Errorf("%s: verified %t, %s: %s; problems %v, want %q", name, r.Verified, claim.Grade, claim.Detail, r.Problems, c.want)
		}
	}
}

// drilledTwice is a fleet whose first drill failed.
func drilledTwice(t *testing.T) *testfleet.Fleet {
	return drilledFirst(t, "vector drilled", func(r *report.Report, _ *ceremony.Account) { failedDrill(r) })
}

// drilledAndFollowed is a fleet whose next epoch went live in its drill.
func drilledAndFollowed(t *testing.T) *testfleet.Fleet {
	return drilledFirst(t, "vector followed", func(r *report.Report, a *ceremony.Account) { testfleet.Succeed(r, a.Release.Artifact) })
}

// drilledFirst is a fleet whose first drill's report is changed. Where it failed, another
// one passes.
func drilledFirst(t *testing.T, name string, change func(*report.Report, *ceremony.Account)) *testfleet.Fleet {
	f := drilled(t, testfleet.Options{Name: name, To: testfleet.ToLogged})
	j := must(f.Journal())
	defer j.Close()
	f.Wait(10 * time.Minute)
	r := testfleet.DrillReport(j.Account(), f.Now().Add(-time.Hour))
	change(r, j.Account())
	if _, _, err := j.Drilled(must(r.Encode())); err != nil {
		t.Fatal(err)
	}
	if err := f.End(j); err != nil {
		t.Fatal(err)
	}
	return f
}
