package signer

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
)

// Options are the options of a module, with this run's trace and deadline.
func Options(a *cli.App, initArgs string) hsm.Options {
	o := hsm.Options{InitArgs: initArgs, Deadline: a.Patience}
	if a.Trace != nil {
		o.Trace = a.Trace
	}
	return o
}

// ModuleFlags adds the flags that name a PKCS#11 module.
func ModuleFlags(c *cobra.Command, module, initArgs *string) {
	c.Flags().StringVar(module, "module", "", "the PKCS#11 library, an absolute `path`")
	c.Flags().StringVar(initArgs, "init-args", "", "`string` for C_Initialize, which NSS wants")
}

// OpenModule opens a PKCS#11 module.
func OpenModule(a *cli.App, path, initArgs string) (*hsm.Module, error) {
	return hsm.Open(path, Options(a, initArgs))
}
