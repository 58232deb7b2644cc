//go:build !cgo || !unix

package log

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// A build without cgo is a verifier: it has no code that could sign or write
// a log.
func leftOut(use string) *cobra.Command {
	c := cli.Command(use, "Left out of this build", "This build is a verifier (CGO_ENABLED=0, or not for a Unix): writing logs is\nleft out.", "",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
				return cmd.Help()
			}
			return errLeftOut
		})
	c.DisableFlagParsing = true // whatever is asked for, the answer is the same
	return c
}

var errLeftOut = strict.Errorf("", "this fleetctl is a verifier: writing logs is left out of it").
	WithHint("use a build for Linux or macOS made with CGO_ENABLED=1")

// AppendCeremony is left out.
func AppendCeremony(context.Context, *cli.App, *engine.Journal, string, string) ([]byte, error) {
	return nil, errLeftOut
}

func initCmd(a *cli.App) *cobra.Command { return leftOut("init") }

func appendCmd(a *cli.App) *cobra.Command { return leftOut("append") }

func proveCmd(a *cli.App) *cobra.Command { return leftOut("prove") }

func serveCmd(a *cli.App) *cobra.Command { return leftOut("serve") }
