// Package device has the commands of fleetctl device.
package device

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// Group is fleetctl device with its commands.
func Group(a *cli.App) *cobra.Command {
	return cli.Group("device", "What a phone does with a fleet's bundle: check, pin; register, recover", checkCmd(a), policyCmd(a), pinCmd(a), registerCmd(a), recoverCmd(a))
}
