//go:build cgo && unix

package fleet

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

func TestADrillThatLacksAStageOfThePlanIsToldAsItsRecordHasIt(t *testing.T) {
	r := &report.Report{Outcome: report.Passed, Stages: []report.Stage{
		{Name: ceremony.StageSessions, Outcome: report.Passed},
		{Name: ceremony.StageRollback, Outcome: report.NotRun, Reason: "no HSM keeps an anchor"},
	}}
	plan := &ceremony.Plan{Drill: &ceremony.PlanDrill{Stages: []string{ceremony.StageSessions, ceremony.StageRollback}}}
	if outcome, faults := judged(r, plan); outcome != report.Failed || len(faults) != 1 || !strings.Contains(faults[0], "stage rollback, which the plan demands, was not run: no HSM keeps an anchor") {
		t.Errorf("recorded: %s, %q", outcome, faults)
	}
	if outcome, faults := judged(r, nil); outcome != report.Passed || len(faults) != 0 {
		t.Errorf("unrecorded: %s, %q", outcome, faults)
	}
	plan.Drill.Stages = []string{ceremony.StageSessions}
	if outcome, faults := judged(r, plan); outcome != report.Passed || len(faults) != 0 {
		t.Errorf("recorded, and nothing is lacking: %s, %q", outcome, faults)
	}
	r.Stages[0].Outcome, r.Stages[0].Reason, r.Outcome = report.Failed, "x", report.Failed
	if outcome, faults := judged(r, plan); outcome != report.Failed || len(faults) == 0 {
		t.Errorf("failed: %s, %q", outcome, faults)
	}
}
