// Package evidence has the commands of fleetctl evidence, and fleetctl verify.
package evidence

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl evidence with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("evidence", "Evidence package: pack, site", packCmd(a), siteCmd(a))
}
