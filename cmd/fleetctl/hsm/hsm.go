// Package hsm has the commands of fleetctl hsm.
package hsm

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl hsm with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("hsm", "Tokens: list, initialise, check, generate a key", listCmd(a), initCmd(a), checkCmd(a), keygenCmd(a))
}
