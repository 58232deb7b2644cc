package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

type lockdownOptions struct {
	site, pin, reading string
	step               int
	standIn
}

func (a *app) ceremonyLockdownCmd() *cobra.Command {
	var o lockdownOptions
	c := command("lockdown DIR", "Lock down as planned: type what was read off, prove that login is refused",
		`Lockdown goes through the plan's lockdown list, between log and close. What is
done by hand leaves a record of what was read off it (digests of media, serials
of cards, numbers of bags), typed by the witness and again by the auditor. An
entry login-refused HSM tries one login with the old PIN, and records the code
by which the token refuses it; a login that works is no lock-down.

A reading that is too long to type twice comes with --step and --reading: then
both confirm what is shown.`,
		`  fleetctl ceremony lockdown ceremony --site site.yaml
  fleetctl ceremony lockdown ceremony --step 2 --reading 'cards 4471, 4472 shredded; photo SHA-256 8c1f02de'
  fleetctl ceremony lockdown ceremony --site site.yaml --pin file:/run/pins/old`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			return o.over(a.withJournal(args[0], func(j *ceremony.Journal) error {
				if err := a.lockdown(cmd, j, &o); err != nil {
					return err
				}
				return a.ceremonyResult(args[0], j.Account())
			}, ceremony.ActLockdown))
		})
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the site `file`, to reach an HSM whose login is to be refused")
	f.StringVar(&o.pin, "pin", "", "`source` of the old PIN: terminal, protected, fd:N or file:/path (default: the site's)")
	f.IntVar(&o.step, "step", 0, "`number` of the entry that --reading is about")
	f.StringVar(&o.reading, "reading", "", "what was read off, in `words` that will be published")
	o.standIn.flags(c)
	return c
}

// lockdown goes through the entries that are left; with a reading, through one.
func (a *app) lockdown(cmd *cobra.Command, j *ceremony.Journal, o *lockdownOptions) error {
	c := j.Account()
	if err := a.lockdownRoom(c, o); err != nil {
		return err
	}
	for {
		item, text, hsm, ok := c.NextLockdown()
		if !ok {
			return nil
		}
		step, _ := c.Next()
		(&screen{a: a}).Step(c.Plan, c.StepNumber(), len(c.Steps), step)
		a.ui.Say(a.ui.Talk.Line(fmt.Sprintf("Lock-down %d of %d: %s", item, len(c.Plan.Lockdown), text)))
		var r *ceremony.Record
		var err error
		if hsm != "" {
			r, err = a.loginRefused(cmd, j, item, hsm, o)
		} else {
			r, err = a.readOff(j, item, o)
		}
		if err != nil {
			return err
		}
		done := "read twice, and on the record"
		if l, ok := r.Content.(*ceremony.Lockdown); ok && l.Code != "" {
			done = hsm + " refuses the login: " + l.Code
		}
		(&screen{a: a}).Done(done, r)
		if o.reading != "" {
			return nil
		}
	}
}

// lockdownRoom says whether somebody may be asked, before anything is done.
func (a *app) lockdownRoom(c *ceremony.Account, o *lockdownOptions) error {
	if _, err := a.roomFor(c.Plan.Mode, &o.standIn); err != nil {
		return err
	}
	item, text, hsm, _ := c.NextLockdown()
	switch {
	case o.reading == "" && o.step == 0:
	case o.reading == "" || o.step == 0:
		return usagef("", "--step and --reading go together: which entry, and what was read off")
	case o.step != item:
		return usagef("", "--step is %d, and it is the turn of entry %d: %s", o.step, item, text)
	case hsm != "":
		return usagef("leave --step and --reading out", "entry %d has nothing to be read off: fleetctl tries a login itself", item)
	case ui.Clean(o.reading) != o.reading || strings.TrimSpace(o.reading) != o.reading:
		return usagef("", "--reading has characters that can't be seen, or space around it")
	}
	return nil
}

// readOff has two people read something off.
func (a *app) readOff(j *ceremony.Journal, item int, o *lockdownOptions) (*ceremony.Record, error) {
	r := room{a}
	switch {
	case o.reading != "" && a.ui.Asks():
		a.ui.Say(a.ui.Talk.Line("Read off: " + o.reading))
		if err := a.bothConfirm(item, fmt.Sprintf("confirm %d", item)); err != nil {
			return nil, err
		}
		return j.Lockdown(o.reading, r.by(ceremony.Witness), r.by(ceremony.Auditor))
	case o.reading != "":
		return j.Lockdown(o.reading, byMachine, byMachine)
	case o.unattended:
		return j.Lockdown("nothing, the machine stands in for people in a rehearsal", byMachine, byMachine)
	}
	for {
		first, err := r.ask(fmt.Sprintf("lockdown %d witness", item), "", "Witness", "what you read off")
		if err != nil {
			return nil, err
		}
		second, err := r.ask(fmt.Sprintf("lockdown %d auditor", item), "", "Auditor", "the same, read again")
		if err != nil {
			return nil, err
		}
		if first != "" && strings.Join(strings.Fields(first), " ") == strings.Join(strings.Fields(second), " ") {
			return j.Lockdown(first, r.by(ceremony.Witness), r.by(ceremony.Auditor))
		}
		r.say(fmt.Sprintf("%q and %q are not the same.", first, second))
	}
}

// bothConfirm has witness and auditor type words of consent, one after the
// other.
func (a *app) bothConfirm(item int, want string) error {
	for _, who := range []string{ceremony.Witness, ceremony.Auditor} {
		a.ui.About(fmt.Sprintf("lockdown %d %s", item, who), want)
		if err := a.ui.Consent(capital(who)+", this is what I see.", want); err != nil {
			return err
		}
	}
	return nil
}

// loginRefused tries the old PIN once, watched by two.
func (a *app) loginRefused(cmd *cobra.Command, j *ceremony.Journal, item int, hsm string, o *lockdownOptions) (*ceremony.Record, error) {
	if o.site == "" {
		return nil, usage(strict.Errorf("", "--site is missing: where %s is reached", hsm))
	}
	site, err := readSite(o.site, j.Account().Plan)
	if err != nil {
		return nil, err
	}
	at := *site.HSM(hsm)
	if o.pin != "" {
		at.PIN = o.pin
	}
	by, confirmed := byMachine, byMachine
	if !o.unattended {
		a.ui.Say(a.ui.Talk.Line("The old PIN is tried once, now. The token must refuse it."))
		if err := a.bothConfirm(item, "try once"); err != nil {
			return nil, err
		}
		by, confirmed = room{a}.by(ceremony.Witness), room{a}.by(ceremony.Auditor)
	}
	return j.LoginRefused(cmd.Context(), bench{a}, &at, by, confirmed)
}
