package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/words"
)

// historyChecks are a history as continuous integration counts it: a check for each rule
// over the epochs, and one for each thing that is wrong. A rule for which there was
// nothing to look at is not among those that passed.
func historyChecks(o *historyOptions, j *historyJSON, now time.Time) *report.Run {
	run := &report.Run{Command: "fleetctl history", Subject: strings.Join(o.paths, " "), Time: now, Good: j.Good}
	run.Summary = fmt.Sprintf("%s, %s wrong", words.Count(j.Statements, "statement", "statements"), words.Number(j.Faults))
	if !j.Good {
		run.Code = cli.ExitWrong
	}
	title := func(check string) string { return "Nothing contradicts the rule " + check }
	for _, c := range j.Checks {
		if c.Result == "shown" {
			run.Checks = append(run.Checks, report.Check{Rule: "history." + c.Name, Title: title(c.Name), Outcome: report.Passed, Message: fmt.Sprintf("%d checked", c.Checked), At: report.Place{File: run.Subject}})
		}
	}
	for _, p := range j.Problems {
		c := report.Check{Rule: "history." + p.Check, Title: title(p.Check), Message: p.What, At: report.Place{File: run.Subject}}
		if len(p.Where) > 0 {
			c.At = report.ParsePlace(p.Where[0])
		}
		if p.Epoch > 0 {
			c.Message = fmt.Sprintf("%s, epoch %d: %s", p.Namespace, p.Epoch, p.What)
		}
		run.Checks = append(run.Checks, c)
	}
	if more := j.Faults - int64(len(j.Problems)); more > 0 {
		run.Checks = append(run.Checks, report.Check{Rule: report.RuleWrong, Title: "Nothing is wrong", Message: fmt.Sprintf("%d more things are wrong that are not listed", more), At: report.Place{File: run.Subject}})
	}
	if j.Unpinned != "" && !o.firstUse {
		run.Checks = append(run.Checks, report.Check{Rule: report.RuleConfirmed, Title: "Each key of the policy was compared with its owner", Message: j.Unpinned, Next: evidence.ConfirmHint, At: report.Place{File: o.policy}})
	}
	return run
}
