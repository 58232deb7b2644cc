//go:build !cgo || !unix

package attestation

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
)

// tpmCmd is left out where no HSM can be reached.
func tpmCmd(*cli.App) *cobra.Command {
	c := cli.Command("tpm", "Left out of this build", "This build is a verifier (CGO_ENABLED=0, or not for a Unix): it reaches no TPM.", "",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
				return cmd.Help()
			}
			return hsm.ErrLeftOut
		})
	c.DisableFlagParsing = true // whatever is asked for, the answer is the same
	return c
}
