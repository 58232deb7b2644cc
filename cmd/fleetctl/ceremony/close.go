package ceremony

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func closeCmd(a *cli.App) *cobra.Command {
	var unverified bool
	c := cli.Command("close DIR", "End a ceremony: record the digest of every file that will be published",
		`Close renders the package's page and appends the last record, which lists every
file of the package. Its hash is the evidence's identity.

First the package that this makes is verified as a stranger would verify it.
What would not verify is named, and nothing is recorded: now it can still be
mended. What is on the record can't be, a third party's second statement for
one; with --unverified such a ceremony is closed as it is, and published.`,
		"  fleetctl ceremony close ceremony", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error {
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				var anyway func(error) error
				if unverified {
					anyway = func(err error) error { return closeUnverified(a, j.Account().Plan.Mode, err) }
				}
				_, err := closing.Close(j, anyway)
				var waits *folder.Pending
				var unfit strict.Errors
				switch {
				case errors.As(err, &waits):
					return session.Pausing(args[0], err)
				case errors.As(err, &unfit):
					return cli.Wrong(err)
				case err != nil:
					return err
				}
				return tellStatus(a, args[0], j.Account())
			}, ceremony.ActClose)
		})
	c.Flags().BoolVar(&unverified, "unverified", false, "close it although its evidence will not verify")
	return c
}

// closeUnverified shows what is wrong, and asks whether it is to stay so.
func closeUnverified(a *cli.App, mode string, wrong error) error {
	a.UI.Error(wrong)
	if a.UI.Asks() {
		return a.UI.Consent("Nobody will be able to verify this evidence.", "close unverified")
	}
	if mode != ceremony.Rehearsal {
		return cli.Usagef("", "in production nobody closes such a ceremony without being asked, and there is no terminal to ask at")
	}
	return nil
}
