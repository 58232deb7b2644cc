// Package bundle has the commands of fleetctl bundle.
package bundle

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl bundle with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("bundle", "Validation bundle: from key set to assembled, diff, retire, void", buildCmd(a), requestCmd(a), importCmd(a), submitCmd(a), countersignCmd(a), assembleCmd(a), diffCmd(a),
		retireCmd(a), voidCmd(a), noticeCmd(a), serveCmd(a))
}
