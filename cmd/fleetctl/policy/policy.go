// Package policy has the commands of fleetctl policy.
package policy

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl policy with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("policy", "A verifier's policy: write, check, compare, revoke a key, follow the next",
		newCmd(a), checkCmd(a), diffCmd(a), revokeCmd(a), succeedCmd(a), followCmd(a), jsonCmd(a))
}
