package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// drillable is a fleet whose next step is its drill.
func drillable(t *testing.T) (*testfleet.Fleet, *engine.Journal) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged, Drill: []string{"sessions", "logins"}, Lockdown: []string{"Bag it"}})
	j := must(f.Journal())
	t.Cleanup(func() { j.Close() })
	return f, j
}

// drillReport is the report of a drill of the fleet, changed.
func drillReport(f *testfleet.Fleet, j *engine.Journal, change func(*report.Report)) []byte {
	r := testfleet.DrillReport(j.Account(), f.Now())
	r.Started = j.Account().Time
	r.Ended = r.Started
	for i := range r.Anchors {
		r.Anchors[i].Created, r.Anchors[i].Removed = r.Started, r.Started
	}
	if change != nil {
		change(r)
	}
	return must(r.Encode())
}

func failed(r *report.Report) { r.Outcome, r.Faults = report.Failed, []string{"a node hung"} }

func TestADrillIsRecordedWithItsReport(t *testing.T) {
	f, j := drillable(t)
	if _, err := j.Lockdown("4471", "machine", "machine"); err == nil {
		t.Error("it was locked down before it was drilled")
	}
	if _, err := j.Finish([]ceremony.File{{Path: "plan.yaml"}}, nil); err == nil {
		t.Error("it was closed before it was drilled")
	}
	data := drillReport(f, j, nil)
	r, rec, err := j.Drilled(data)
	if err != nil {
		t.Fatal(err)
	}
	if c := rec.Content.(*ceremony.Drill); c.Number != 1 || c.Outcome != ceremony.DrillPassed || c.Size != len(data) || r.Fleet != f.Plan.Fleet {
		t.Errorf("%+v of %s", c, r.Fleet)
	}
	if got := must(os.ReadFile(filepath.Join(f.Dir, ceremony.DrillFile(1)))); !bytes.Equal(got, data) {
		t.Error("the folder has another report")
	}
	_, _, err = j.Drilled(drillReport(f, j, failed))
	wantError(t, err, "it is not the turn of")
	if _, err := j.Lockdown("4471", "machine", "machine"); err != nil {
		t.Error(err)
	}
}

func TestADrillThatFailedIsRecordedAndAnotherMayFollow(t *testing.T) {
	f, j := drillable(t)
	bad := drillReport(f, j, failed)
	if _, rec, err := j.Drilled(bad); err != nil || rec.Content.(*ceremony.Drill).Outcome != ceremony.DrillFailed {
		t.Fatalf("%+v, %v", rec, err)
	}
	_, _, err := j.Drilled(bad)
	wantError(t, err, "on the record already, as drill 1")
	if err := j.Account().Expects(ceremony.KindDrill); err != nil {
		t.Error(err)
	}
	if _, _, err := j.Drilled(drillReport(f, j, nil)); err != nil {
		t.Error(err)
	}
	if d := j.Account().Drilled(); d == nil || d.Number != 2 {
		t.Errorf("%+v passed", d)
	}
}

func TestAReportOfAnotherCeremonyIsNotRecorded(t *testing.T) {
	f, j := drillable(t)
	other := testfleet.New(t, testfleet.Options{Name: "another-fleet", To: testfleet.ToLogged, Drill: []string{"sessions"}})
	_, _, err := j.Drilled(must(testfleet.DrillReport(other.Account, f.Now()).Encode()))
	wantError(t, err, "is of the ceremony")
	if _, err := os.Stat(filepath.Join(f.Dir, ceremony.DrillFile(1))); err == nil {
		t.Error("its file was written")
	}
	if len(j.Account().Drills) != 0 {
		t.Error("it is on the record")
	}
}

func TestWhyThereIsNoDrillIsSaidByTwo(t *testing.T) {
	_, j := drillable(t)
	for name, c := range map[string]struct{ reason, by, confirmed, says string }{
		"no reason":  {"", "witness", "auditor", "reason"},
		"one person": {"no power", "witness", "witness", "another person must confirm it"},
		"an officer": {"no power", "officer", "auditor", `typed by "officer"`},
	} {
		_, err := j.NotDrilled(c.reason, c.by, c.confirmed)
		if wantError(t, err, c.says); err == nil {
			t.Errorf("%s: it was recorded", name)
		}
	}
	_, err := j.NotDrilled("no power", "witness", "auditor", "hsm-9")
	wantError(t, err, "no HSM of the plan")
	_, err = j.NotDrilled("no power", "witness", "auditor", "hsm-1", "hsm-1")
	wantError(t, err, "says twice")
	r, err := j.NotDrilled("no power", "witness", "auditor", "hsm-2")
	if err != nil || r.Content.(*ceremony.Drill).Left[0] != "hsm-2" || j.Account().Drilled() != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := j.Lockdown("4471", "machine", "machine"); err != nil {
		t.Error(err)
	}
}

// TestAReportWithoutItsRecordIsSetAside: an interruption came between the two.
func TestAReportWithoutItsRecordIsSetAside(t *testing.T) {
	f, j := drillable(t)
	if err := os.MkdirAll(filepath.Join(f.Dir, ceremony.DrillsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(f.Dir, ceremony.DrillFile(1))
	for _, again := range []func() error{
		func() error { _, _, err := j.Drilled(drillReport(f, j, failed)); return err },
		func() error { _, err := j.NotDrilled("no power", "witness", "auditor"); return err },
	} {
		if err := os.WriteFile(left, []byte("half a report"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := again(); err != nil {
			t.Error(err)
		}
		left = filepath.Join(f.Dir, ceremony.DrillFile(2))
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("the report that no record names is still there")
	}
}

// TestTheRulesRefuseADrillThatIsNone: what the engine never writes, replay refuses too.
func TestTheRulesRefuseADrillThatIsNone(t *testing.T) {
	_, j := drillable(t)
	sum := [32]byte{1}
	for name, c := range map[string]struct {
		give ceremony.Drill
		says string
	}{
		"another number":         {ceremony.Drill{Number: 2, Outcome: "passed", Report: sum, Size: 1}, "numbered 2"},
		"another outcome":        {ceremony.Drill{Number: 1, Outcome: "fine", Report: sum, Size: 1}, "is none of"},
		"no report":              {ceremony.Drill{Number: 1, Outcome: "passed"}, "a drill that was run has a report"},
		"too large":              {ceremony.Drill{Number: 1, Outcome: "passed", Report: sum, Size: ceremony.MaxDrillReport + 1}, "a drill that was run has a report"},
		"passed, and why not":    {ceremony.Drill{Number: 1, Outcome: "passed", Report: sum, Size: 1, Reason: "x"}, "neither a reason"},
		"none, with a report":    {ceremony.Drill{Number: 1, Outcome: "none", Report: sum, Reason: "x", By: "witness", Confirmed: "auditor"}, "and it has a report"},
		"left where there isn't": {ceremony.Drill{Number: 1, Outcome: "passed", Report: sum, Size: 1, Left: []string{"hsm-9"}}, "no HSM of the plan"},
	} {
		if _, err := j.Append(&c.give); err == nil {
			t.Errorf("%s: it was recorded", name)
		} else {
			wantError(t, err, c.says)
		}
	}
}
