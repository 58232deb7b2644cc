//go:build !cgo || !unix

package device

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

func registerCmd(*cli.App) *cobra.Command { return cli.LeftOut("register", leftOut) }

func recoverCmd(*cli.App) *cobra.Command { return cli.LeftOut("recover", leftOut) }

const leftOut = "speaking with a reference fleet"
