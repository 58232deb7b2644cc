// Package plan has the commands of fleetctl plan.
package plan

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl plan with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("plan", "Plans: write, check, print, approve, rehearse, destroy what was made", newCmd(a), checkCmd(a), printCmd(a), approveCmd(a), rehearseCmd(a), destroyCmd(a))
}
