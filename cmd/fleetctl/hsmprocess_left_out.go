//go:build !cgo || !unix

package main

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// hsmProcess is left out: there is no PKCS#11 here.
func hsmProcess(*cli.App) []*cobra.Command { return nil }
