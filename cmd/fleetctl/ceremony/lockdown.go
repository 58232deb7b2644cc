package ceremony

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type lockdownOptions struct {
	site, pin, reading, notShown string
	step                         int
	session.StandIn
}

func lockdownCmd(a *cli.App) *cobra.Command {
	var o lockdownOptions
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
				if err := lockdown(a, cmd, j, &o); err != nil {
					return err
				}
				return tellStatus(a, args[0], j.Account())
			}, ceremony.ActLockdown))
		})
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the site `file`, to reach an HSM whose login is to be refused")
	f.StringVar(&o.pin, "pin", "", "`source` of the PIN that opens it now: terminal, fd:N or file:/path (default: the site's)")
	f.IntVar(&o.step, "step", 0, "`number` of the entry that --reading is about")
	f.StringVar(&o.reading, "reading", "", "what was read off, in `words` that will be published")
	f.StringVar(&o.notShown, "not-shown", "", "why no refusal of the login can be shown, in `words` that will be published")
	o.StandIn.Flags(c)
	return c
}

// lockdown goes through the entries that are left; with a reading, through one.
func lockdown(a *cli.App, cmd *cobra.Command, j *engine.Journal, o *lockdownOptions) error {
	c, screen := j.Account(), session.NewScreen(a)
	if err := mayLockDown(a, c, o); err != nil {
		return err
	}
	for {
		item, text, hsm, ok := c.NextLockdown()
		if !ok {
			return nil
		}
		step, _ := c.Next()
		screen.Step(c.Plan, c.StepNumber(), len(c.Steps), step)
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("Lock-down %d of %d: %s", item, len(c.Plan.Lockdown), text)))
		var r *ceremony.Record
		var err error
		if hsm != "" {
			r, err = loginRefused(a, cmd, j, item, hsm, o)
		} else {
			r, err = readOff(a, j, item, o)
		}
		if err != nil {
			return err
		}
		done := "read twice, and on the record"
		if l, ok := r.Content.(*ceremony.Lockdown); ok && hsm != "" {
			done = hsm + " refuses the PIN that opened it: " + l.Code
			if l.Code == "" {
				done = "not shown, and on the record"
			}
		}
		screen.Done(done, r)
		if o.reading != "" || o.notShown != "" {
			return nil
		}
	}
}

// mayLockDown says whether somebody may be asked, before anything is done.
func mayLockDown(a *cli.App, c *ceremony.Account, o *lockdownOptions) error {
	if _, err := session.People(a, c.Plan.Mode, &o.StandIn); err != nil {
		return err
	}
	item, text, hsm, _ := c.NextLockdown()
	switch {
	case o.notShown != "" && (o.reading != "" || o.step != 0):
		return cli.Usagef("", "--not-shown is about a login, --reading about what is done by hand: one of them")
	case o.notShown != "" && hsm == "":
		return cli.Usagef("", "--not-shown is about a login to be refused, and entry %d is done by hand: %s", item, text)
	case words.Clean(o.notShown) != o.notShown || strings.TrimSpace(o.notShown) != o.notShown:
		return cli.Usagef("", "--not-shown has characters that can't be seen, or space around it")
	case o.reading == "" && o.step == 0:
	case o.reading == "" || o.step == 0:
		return cli.Usagef("", "--step and --reading go together: which entry, and what was read off")
	case o.step != item:
		return cli.Usagef("", "--step is %d, and it is the turn of entry %d: %s", o.step, item, text)
	case hsm != "":
		return cli.Usagef("leave --step and --reading out", "entry %d has nothing to be read off: fleetctl tries a login itself", item)
	case words.Clean(o.reading) != o.reading || strings.TrimSpace(o.reading) != o.reading:
		return cli.Usagef("", "--reading has characters that can't be seen, or space around it")
	}
	return nil
}

// readOff has two people read something off.
func readOff(a *cli.App, j *engine.Journal, item int, o *lockdownOptions) (*ceremony.Record, error) {
	r := session.NewAtTerminal(a)
	switch {
	case o.reading != "" && a.UI.Asks():
		a.UI.Say(a.UI.Talk.Line("Read off: " + o.reading))
		if err := bothConfirm(a, item, fmt.Sprintf("confirm %d", item)); err != nil {
			return nil, err
		}
		return j.Lockdown(o.reading, r.By(ceremony.Witness), r.By(ceremony.Auditor))
	case o.reading != "":
		return j.Lockdown(o.reading, session.ByMachine, session.ByMachine)
	case o.Unattended:
		return j.Lockdown("nothing, the machine stands in for people in a rehearsal", session.ByMachine, session.ByMachine)
	}
	for {
		first, err := r.Ask(fmt.Sprintf("lockdown %d witness", item), "", "Witness", "what you read off")
		if err != nil {
			return nil, err
		}
		second, err := r.Ask(fmt.Sprintf("lockdown %d auditor", item), "", "Auditor", "the same, read again")
		if err != nil {
			return nil, err
		}
		if first != "" && strings.Join(strings.Fields(first), " ") == strings.Join(strings.Fields(second), " ") {
			return j.Lockdown(first, r.By(ceremony.Witness), r.By(ceremony.Auditor))
		}
		r.Say(fmt.Sprintf("%q and %q are not the same.", first, second))
	}
}

// bothConfirm has witness and auditor type words of consent, one after the
// other.
func bothConfirm(a *cli.App, item int, want string) error {
	for _, who := range []string{ceremony.Witness, ceremony.Auditor} {
		a.UI.About(fmt.Sprintf("lockdown %d %s", item, who), want)
		if err := a.UI.Consent(session.Capital(who)+", this is what I see.", want); err != nil {
			return err
		}
	}
	return nil
}

// loginRefused has the HSM refuse the PIN that opened it, watched by two.
func loginRefused(a *cli.App, cmd *cobra.Command, j *engine.Journal, item int, hsm string, o *lockdownOptions) (*ceremony.Record, error) {
	by, confirmed := session.ByMachine, session.ByMachine
	if !o.Unattended {
		by, confirmed = session.NewAtTerminal(a).By(ceremony.Witness), session.NewAtTerminal(a).By(ceremony.Auditor)
	}
	if o.notShown != "" {
		a.UI.Say(a.UI.Talk.Line("The evidence will say that no refusal was shown: " + o.notShown))
		if !o.Unattended {
			if err := bothConfirm(a, item, "not shown"); err != nil {
				return nil, err
			}
		}
		return j.LoginNotShown(o.notShown, by, confirmed)
	}
	if o.site == "" {
		return nil, cli.Usage(strict.Errorf("", "--site is missing: where %s is reached", hsm))
	}
	site, err := cli.ReadSite(o.site, j.Account().Plan)
	if err != nil {
		return nil, err
	}
	at := *site.HSM(hsm)
	if o.pin != "" {
		at.PIN = o.pin
	}
	locked := func() error {
		a.UI.Say(a.UI.Talk.Line("The PIN opened " + hsm + ", and fleetctl holds it. Lock " + hsm + " down now, as its vendor's manual says; don't stop fleetctl. Then the same PIN is tried once more."))
		if o.Unattended {
			return nil
		}
		return bothConfirm(a, item, "locked down")
	}
	return j.LoginRefused(cmd.Context(), session.NewTokens(a), &at, locked, by, confirmed)
}
