//go:build !cgo || !unix

package fleet

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// A build without cgo is a verifier: it runs no fleet.
const leftOut = "running a reference fleet"

func secretsCmd(*cli.App) *cobra.Command { return cli.LeftOut("secrets", leftOut) }

func initCmd(*cli.App) *cobra.Command { return cli.LeftOut("init", leftOut) }

func joinCmd(*cli.App) *cobra.Command { return cli.LeftOut("join", leftOut) }

func serveCmd(*cli.App) *cobra.Command { return cli.LeftOut("serve", leftOut) }

func statusCmd(*cli.App) *cobra.Command { return cli.LeftOut("status", leftOut) }

func leaveCmd(*cli.App) *cobra.Command { return cli.LeftOut("leave", leftOut) }

func drillCmd(*cli.App) *cobra.Command { return cli.LeftOut("drill", leftOut) }
