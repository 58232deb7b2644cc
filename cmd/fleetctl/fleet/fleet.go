// Package fleet has the commands of fleetctl fleet: the reference fleet and its drill.
package fleet

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl fleet with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("fleet", "Run a reference fleet on a ceremony's keys, and drill it",
		secretsCmd(a), initCmd(a), joinCmd(a), serveCmd(a), statusCmd(a), leaveCmd(a), drillCmd(a))
}
