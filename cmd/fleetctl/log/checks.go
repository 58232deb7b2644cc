package log

import (
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
)

// auditChecks are an audit as continuous integration counts it.
func auditChecks(ref string, policy *evidence.Policy, j *auditJSON, r *monitor.Report, firstUse bool, now time.Time, summary string) *report.Run {
	run := &report.Run{Command: "fleetctl log audit", Subject: ref, Summary: summary, Time: now, Good: j.Verified}
	if !j.Verified {
		run.Code = cli.ExitWrong
	}
	check := func(good bool, c report.Check, failed string) {
		if c.At.File == "" {
			c.At.File = ref
		}
		if good {
			c.Outcome = report.Passed
		} else {
			c.Message = failed
		}
		run.Checks = append(run.Checks, c)
	}
	check(j.Size > 0, report.Check{Rule: "log.tree", Title: "The tree is what the log signed, and it has entries",
		Message: fmt.Sprintf("%d entries, %d tiles computed again, root %x", j.Size, j.Tiles, j.Root)}, "the log has no entry")
	check(r.Enough(), report.Check{Rule: evidence.ClaimWitnessed, Title: "As many witnesses as the policy demands saw the checkpoint",
		Message: fmt.Sprintf("%d witnesses", len(j.Witnesses))}, "its checkpoint is not witnessed")
	check(len(j.Unpinned) == 0 || firstUse, report.Check{Rule: report.RuleConfirmed, Title: "Each key of the policy was compared with its owner",
		Message: policy.TellPinned(), Next: evidence.ConfirmHint, At: report.Place{File: policy.File}}, policy.TellUnpinned())
	for _, f := range j.Findings {
		check(false, report.Check{Rule: "log." + f.Kind, Title: "No entry of the log is " + f.Kind}, f.Text)
	}
	if more := j.Found - uint64(len(j.Findings)); j.Found > 0 && more > 0 {
		check(false, report.Check{Rule: report.RuleWrong, Title: "Nothing is wrong"}, fmt.Sprintf("%d more findings are not listed", more))
	}
	return run
}
