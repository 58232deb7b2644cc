package evidence

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

// drills holds the report of each drill against its record and the ceremony, and grades
// what a drill has shown. A report is the word of whoever ran the drill; it counts once
// people have signed the close, which holds its record.
func (v *verifier) drills(files Files, a *ceremony.Account) {
	passed, agree := v.reports(files, a)
	where := recordOf(a.N)
	switch d := a.Drilled(); {
	case a.Plan.Drill == nil:
		v.lack(ClaimDrilled, ceremony.PlanFile, "", "the plan has no drill")
	case len(a.Drills) == 0:
		v.lack(ClaimDrilled, where, "", "the ceremony did not get to its drill")
	case !agree:
		v.lack(ClaimDrilled, ceremony.DrillsDir, "", "the reports of its drills are not what the records say")
	case d == nil:
		last := a.Drills[len(a.Drills)-1]
		why := "the last one failed"
		if last.Outcome == ceremony.DrillNone {
			why = "there was none: " + last.Reason
		}
		v.lack(ClaimDrilled, recordOf(last.N), "", "no drill passed; %s%s", why, drillsBeside(a))
	case v.r.Claim(ClaimCloseSignoff).Grade < Proven:
		v.lack(ClaimDrilled, recordOf(d.N), "", "a drill passed, by its report, but the close is not signed off")
	default:
		v.show(ClaimDrilled, Attested, recordOf(d.N), "%s%s; signed off with the close, by which people say that it was run", tellDrill(passed), drillsBeside(a))
	}
}

// reports reads the drills' reports. agree says that each is that of its record, and that
// there is no other; passed is the one of the drill that passed.
func (v *verifier) reports(files Files, a *ceremony.Account) (passed *report.Report, agree bool) {
	before := len(v.r.Problems)
	named := map[string]bool{}
	for _, d := range a.Drills {
		if d.Outcome == ceremony.DrillNone {
			continue
		}
		path := ceremony.DrillFile(d.Number)
		named[path] = true
		if files[path] == nil {
			v.problem(path, "", "is missing: record %d names its digest", d.N)
			continue
		}
		r, want, err := report.Of(path, files[path], a, d.Number, d.Since, d.Time)
		switch {
		case err != nil:
			v.fault(path, err)
		case v.sums[path] != d.Report:
			v.problem(path, "", "is not the report whose digest record %d names", d.N)
		case !reflect.DeepEqual(want, d.Drill):
			v.problem(path, "", "does not say what record %d says of it: outcome %s, %d bytes, something left in %q", d.N, d.Outcome, d.Size, d.Left)
		case d.Outcome == ceremony.DrillPassed:
			passed = r
		}
	}
	for _, path := range files.Paths() {
		if strings.HasPrefix(path, ceremony.DrillsDir+"/") && !named[path] {
			v.problem(path, "", "is the report of a drill that no record names")
		}
	}
	return passed, len(v.r.Problems) == before
}

// tellDrill says what a drill that passed did and left out.
func tellDrill(r *report.Report) string {
	var run, left []string
	for _, s := range r.Stages {
		if s.Outcome == report.NotRun {
			left = append(left, s.Name)
		} else {
			run = append(run, s.Name)
		}
	}
	runs := 0
	for _, t := range r.Tests {
		runs += t.Runs
	}
	text := fmt.Sprintf("on a reference fleet, no vault, of %d nodes: %s; %d guesses, %d tests", len(r.Nodes), strings.Join(run, ", "), r.Counts.Attempts, runs)
	if len(left) > 0 {
		text += "; not run: " + strings.Join(left, ", ")
	}
	return text
}

// drillsBeside names the drills that failed, and the HSMs in which something was left.
func drillsBeside(a *ceremony.Account) (text string) {
	var failed, left []string
	for _, d := range a.Drills {
		if d.Outcome == ceremony.DrillFailed {
			failed = append(failed, fmt.Sprint(d.N))
		}
		for _, hsm := range d.Left {
			left = append(left, fmt.Sprintf("%s (record %d)", hsm, d.N))
		}
	}
	if len(failed) > 0 {
		text = "; failed before, by record " + strings.Join(failed, ", ")
	}
	if len(left) > 0 {
		text += "; something was left in " + strings.Join(left, ", ")
	}
	return text
}
