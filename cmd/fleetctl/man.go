//go:build man

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// main writes the manual pages of all commands into the directory that it is given:
// go run -tags man ./cmd/fleetctl DIR. A program built so is not fleetctl, and
// fleetctl has none of this in it. The pages' date is SOURCE_DATE_EPOCH.
func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags man ./cmd/fleetctl DIR")
		os.Exit(cli.ExitUsage)
	}
	if err := pages(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(cli.ExitFailed)
	}
}

func pages(dir string) error {
	top := root(cli.New(os.Stdin, os.Stdout, os.Stderr))
	plain(top)
	return doc.GenManTree(top, &doc.GenManHeader{Section: "1", Source: "fleetctl " + cli.Version, Manual: "fleetctl"}, dir)
}

// plain leaves out of each page the line that says when it was made and by what.
func plain(c *cobra.Command) {
	c.DisableAutoGenTag = true
	for _, child := range c.Commands() {
		plain(child)
	}
}
