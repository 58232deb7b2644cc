//go:build cgo && unix

package main

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/hsmhost"
)

// hsmProcess is the process of a reference fleet's HSM, which a node's process is not.
func hsmProcess(a *cli.App) []*cobra.Command {
	c := cli.Command(hsmhost.Command, "Serve a token to a node of a reference fleet", "", "", cobra.NoArgs, func(*cobra.Command, []string) error {
		return hsmhost.Main(a.Stdin, a.Stdout)
	})
	c.Hidden = true
	return []*cobra.Command{c}
}
