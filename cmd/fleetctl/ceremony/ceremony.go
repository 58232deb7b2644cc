// Package ceremony has the commands of fleetctl ceremony.
package ceremony

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/room"
)

// Group is fleetctl ceremony with its commands. appendTo appends to a log, which is
// another noun's.
func Group(a *cli.App, appendTo room.AppendTo) *cobra.Command {
	return cli.Group("ceremony", "Ceremonies: room, run, sign, resume, adjourn, exception, abort, media, close",
		roomCmd(a, appendTo), runCmd(a), signCmd(a), resumeCmd(a), adjournCmd(a), reconveneCmd(a),
		exceptionCmd(a), abortCmd(a), statusCmd(a), drillCmd(a), lockdownCmd(a), mediaCmd(a), closeCmd(a), receiptCmd(a), compareCmd(a), agreementCmd(a))
}
