package ceremony

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
)

func drillCmd(a *cli.App) *cobra.Command {
	var o session.Drill
	c := cli.Command("drill DIR", "Record a drill of the fleet by its report, or why there was none",
		`Drill takes the report of a drill of the fleet's keys, drill.json, where the
plan has a drill: between log and lock-down. It refuses a report about another
fleet, of other keys, that contradicts itself, or that no verifier would take,
and records nothing then. A drill that failed, or left out a stage that the plan
demands, is recorded as failed; another one may follow.

With --none witness and auditor confirm why there is no drill that passed, and
the evidence says so: the claim fleet.drilled is not shown then.

A drill is run on a reference fleet, which is no vault. Nobody can check
afterwards that it was run: the people who sign the close say so.`,
		`  fleetctl ceremony drill ceremony --report drill/drill.json
  fleetctl ceremony drill ceremony --none 'the HSMs had to go back to their sites'`,
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			return o.Over(session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if _, err := o.Do(a, j); err != nil {
					return err
				}
				return tellStatus(a, args[0], j.Account())
			}, ceremony.ActDrill))
		})
	f := c.Flags()
	f.StringVar(&o.Report, "report", "", "the drill's report, a `file`")
	f.StringVar(&o.None, "none", "", "why there is no drill that passed, in `words` that will be published")
	f.StringArrayVar(&o.Left, "left", nil, "with --none: an `HSM` in which an interrupted drill left something")
	o.StandIn.Flags(c)
	return c
}
