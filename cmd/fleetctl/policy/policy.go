// Package policy has the commands of fleetctl policy.
package policy

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl policy with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("policy", "A verifier's policy: write, check, as JSON", newCmd(a), checkCmd(a), jsonCmd(a))
}
