package engine

import (
	"path/filepath"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Drilled takes the report of a drill, drill.json, into the ceremony's folder and records
// it. It refuses one that is about another fleet or contradicts itself, and one that a
// verifier would refuse. A drill that failed, or that left out what the plan demands, is
// recorded as failed: the step stays open for another drill, or for NotDrilled.
func (j *Journal) Drilled(data []byte) (*report.Report, *ceremony.Record, error) {
	a := j.account
	if err := a.Expects(ceremony.KindDrill); err != nil {
		return nil, nil, err
	}
	r, c, err := report.Of("drill.json", data, a, len(a.Drills)+1, a.DrillSince(), j.now())
	if err != nil {
		return nil, nil, err
	}
	for _, d := range a.Drills {
		if d.Report == c.Report {
			return nil, nil, strict.Errorf(j.dir, "this report is on the record already, as drill %d, record %d", d.Number, d.N)
		}
	}
	if err := j.clockStands(c); err != nil {
		return nil, nil, err
	}
	if err := durable.MkdirAll(filepath.Join(j.dir, ceremony.DrillsDir), 0o755); err != nil {
		return nil, nil, err
	}
	if err := durable.SyncDir(j.dir); err != nil {
		return nil, nil, err
	}
	// No record names a file of this number yet: if there is one, its run was interrupted.
	if err := folder.Temp(j.dir).Replace(filepath.Join(j.dir, ceremony.DrillFile(c.Number)), data, 0o644); err != nil {
		return nil, nil, err
	}
	rec, err := j.Append(c)
	return r, rec, err
}

// NotDrilled records that people go on without a drill that passed, and why. left are the
// HSMs in which an interrupted drill left something.
func (j *Journal) NotDrilled(reason, by, confirmed string, left ...string) (*ceremony.Record, error) {
	a := j.account
	if err := a.Expects(ceremony.KindDrill); err != nil {
		return nil, err
	}
	if err := folder.TidyRecorded(j.dir, a); err != nil {
		return nil, err
	}
	return j.Append(&ceremony.Drill{Number: len(a.Drills) + 1, Outcome: ceremony.DrillNone, Left: left, Reason: reason, By: by, Confirmed: confirmed})
}
