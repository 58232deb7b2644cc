// Package thirdparty has the commands of fleetctl thirdparty.
package thirdparty

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl thirdparty with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("thirdparty", "The third party's side: policy, init, inspect, sign, ledger, serve", policyCmd(a), initCmd(a), inspectCmd(a), signCmd(a), noticeCmd(a), ledgerCmd(a), guardCmd(a),
		serveCmd(a), queueCmd(a), keygenCmd(a))
}
