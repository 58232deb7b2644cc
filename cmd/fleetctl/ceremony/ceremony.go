// Package ceremony has the commands of fleetctl ceremony.
package ceremony

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl ceremony with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("ceremony", "Ceremonies: run, sign, resume, adjourn, exception, abort, lock down, close",
		runCmd(a), signCmd(a), resumeCmd(a), adjournCmd(a), reconveneCmd(a),
		exceptionCmd(a), abortCmd(a), statusCmd(a), lockdownCmd(a), closeCmd(a), receiptCmd(a), compareCmd(a))
}
