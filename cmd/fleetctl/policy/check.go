package policy

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func jsonCmd(a *cli.App) *cobra.Command {
	return cli.Command("json POLICY", "Print a policy as JSON, the same members and values",
		`Json prints what a policy says, without its comments, for programs that read no
YAML, such as scripts/verify-by-hand. It is a policy too, with another digest.
Only a policy without fault is printed.`,
		"  fleetctl policy json policy.yaml > policy.json",
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			data, err := cli.ReadFile(args[0])
			if err != nil {
				return err
			}
			if _, err := evidence.ParsePolicy(args[0], data); err != nil {
				return cli.Usage(err)
			}
			root, err := strict.ParseYAML(args[0], data, strict.MaxYAML)
			if err != nil {
				return cli.Usage(err)
			}
			return a.UI.Print(string(strict.EncodeNode(root)))
		})
}

func checkCmd(a *cli.App) *cobra.Command {
	c := cli.Command("check POLICY", "Find every fault of a policy and say what it demands", "",
		"  fleetctl policy check policy.yaml",
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			data, err := cli.ReadFile(args[0])
			if err != nil {
				return err
			}
			p, err := evidence.ParsePolicy(args[0], data)
			if err != nil {
				return cli.Usage(err)
			}
			return policyResult(a, p, nil)
		})
	a.Reports(c)
	return c
}

// checks are a policy that was read as continuous integration counts it. A key that nobody
// confirmed is said and is no fault: whoever writes a policy confirms its keys later.
func checks(p *evidence.Policy, now time.Time) *report.Run {
	at := report.Place{File: p.File}
	return &report.Run{Command: "fleetctl policy check", Subject: p.File, Time: now, Good: true, Summary: fmt.Sprintf("demands %d claims; %s", len(p.Demands), p.TellPinned()), Checks: []report.Check{
		{Rule: "policy", Title: "The policy has no fault", Outcome: report.Passed, Message: fmt.Sprintf("%d claims demanded; %s", len(p.Demands), p.TellPinned()), At: at},
	}}
}
