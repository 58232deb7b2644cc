// Package log has the commands of fleetctl log.
package log

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl log with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("log", "Transparency log: append, prove, cosign, audit, monitor, serve",
		initCmd(a), appendCmd(a), proveCmd(a), cosignCmd(a), witnessCmd(a), auditCmd(a), monitorCmd(a), serveCmd(a))
}
