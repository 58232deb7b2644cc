//go:build !cgo || !unix

package log

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// A build without cgo is a verifier: it has no code that could sign or write
// a log.
const leftOut = "writing logs"

// AppendCeremony is left out.
func AppendCeremony(context.Context, *cli.App, *engine.Journal, string, string) ([]byte, error) {
	return nil, cli.ErrLeftOut(leftOut)
}

func initCmd(*cli.App) *cobra.Command { return cli.LeftOut("init", leftOut) }

func appendCmd(*cli.App) *cobra.Command { return cli.LeftOut("append", leftOut) }

func proveCmd(*cli.App) *cobra.Command { return cli.LeftOut("prove", leftOut) }

func serveCmd(*cli.App) *cobra.Command { return cli.LeftOut("serve", leftOut) }
