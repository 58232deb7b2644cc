package ceremony

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
)

func lockdownCmd(a *cli.App) *cobra.Command {
	var o session.Lockdown
	c := cli.Command("lockdown DIR", "Lock down as planned: type what was read off, prove that login is refused",
		`Lockdown goes through the plan's lockdown list, between log and close. What is
done by hand leaves a record of what was read off it (digests of media, serials
of cards, numbers of bags), typed by the witness and again by the auditor. An
entry login-refused HSM logs in, waits while people lock that HSM down, and then
tries the same PIN again: the record has the code by which the token refuses it.
A PIN that didn't open the HSM before shows nothing, and neither does a run that
ends in between; --not-shown records that, and the evidence says so. A second
try that still gets in is recorded, and is no lock-down.

A reading that is too long to type twice comes with --step and --reading: then
both confirm what is shown.`,
		`  fleetctl ceremony lockdown ceremony --site site.yaml
  fleetctl ceremony lockdown ceremony --step 2 --reading 'cards 4471, 4472 shredded; photo SHA-256 8c1f02de'
  fleetctl ceremony lockdown ceremony --not-shown 'power failed after hsm-1 was locked down'`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			return o.Over(session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if err := o.Do(cmd.Context(), a, j); err != nil {
					return err
				}
				return tellStatus(a, args[0], j.Account())
			}, ceremony.ActLockdown))
		})
	f := c.Flags()
	f.StringVar(&o.Site, "site", "", "the site `file`, to reach an HSM whose login is to be refused")
	f.StringVar(&o.PIN, "pin", "", "`source` of the PIN that opens it now: terminal, fd:N or file:/path (default: the site's)")
	f.IntVar(&o.Step, "step", 0, "`number` of the entry that --reading is about")
	f.StringVar(&o.Reading, "reading", "", "what was read off, in `words` that will be published")
	f.StringVar(&o.NotShown, "not-shown", "", "why no refusal of the login can be shown, in `words` that will be published")
	o.StandIn.Flags(c)
	return c
}
