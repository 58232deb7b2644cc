// Package evidence has the commands of fleetctl evidence, and fleetctl verify.
package evidence

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

func Group(a *cli.App) *cobra.Command {
	return cli.Group("evidence", "Evidence package: pack", packCmd(a))
}
