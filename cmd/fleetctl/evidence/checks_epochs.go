package evidence

import (
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/epochs"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
)

// chainChecks are a chain as continuous integration counts it: a check for each object that
// is verified, and one for each thing that is wrong.
func chainChecks(r *epochs.Report, args []string, code int) *report.Run {
	run := &report.Run{Command: "fleetctl verify", Subject: strings.Join(args, " "), Time: r.Time, Good: r.Verified, Code: code, Summary: r.Told()}
	for _, e := range r.Epochs {
		for _, o := range e.Objects {
			if o.Verified {
				run.Checks = append(run.Checks, report.Check{Rule: "epochs.verified", Title: "Each object of the chain is verified for itself", Outcome: report.Passed,
					Message: e.Name() + " " + e.Text(), At: report.Place{File: o.File}})
			}
		}
	}
	for _, p := range r.Problems {
		c := report.Check{Rule: "epochs." + p.Kind, Title: "The chain of epochs is whole and nothing in it contradicts the rule " + p.Kind, Message: p.What, Next: p.Next, At: report.Place{File: p.Where}}
		if p.Where == "" {
			c.At.File = run.Subject
		}
		if p.Alarm {
			c.Message = "ALARM: " + c.Message
		}
		run.Checks = append(run.Checks, c)
	}
	if unpinned := r.Policy.TellUnpinned(); unpinned != "" && !r.FirstUse {
		run.Checks = append(run.Checks, report.Check{Rule: report.RuleConfirmed, Title: "Each key of the policy was compared with its owner", Message: unpinned, Next: evidence.ConfirmHint, At: report.Place{File: r.Policy.File}})
	}
	return run
}

// chainCode is a chain's exit code.
func chainCode(r *epochs.Report) int {
	switch {
	case r.Verified:
		return cli.ExitDone
	case r.Alarm():
		return cli.ExitAlarm
	}
	return cli.ExitWrong
}
