package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Lockdown does the entries of the plan's lockdown: what is done by hand, and logins that
// have to be refused.
type Lockdown struct {
	Site, PIN, Reading, NotShown string
	Step                         int
	StandIn
}

// Do does the entries that are left; with --reading or --not-shown, only one.
func (o *Lockdown) Do(ctx context.Context, a *cli.App, j *engine.Journal) error {
	c, screen := j.Account(), NewScreen(a)
	if err := o.may(a, c); err != nil {
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
			r, err = o.loginRefused(ctx, a, j, item, hsm)
		} else {
			r, err = o.readOff(a, j, item)
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
		if o.Reading != "" || o.NotShown != "" {
			return nil
		}
	}
}

// may checks the flags before anything is done.
func (o *Lockdown) may(a *cli.App, c *ceremony.Account) error {
	if _, err := People(a, c.Plan.Mode, &o.StandIn); err != nil {
		return err
	}
	item, text, hsm, _ := c.NextLockdown()
	switch {
	case o.NotShown != "" && (o.Reading != "" || o.Step != 0):
		return cli.Usagef("", "--not-shown is about a login, --reading about what is done by hand: one of them")
	case o.NotShown != "" && hsm == "":
		return cli.Usagef("", "--not-shown is about a login to be refused, and entry %d is done by hand: %s", item, text)
	case words.Clean(o.NotShown) != o.NotShown || strings.TrimSpace(o.NotShown) != o.NotShown:
		return cli.Usagef("", "--not-shown has characters that can't be seen, or space around it")
	case o.Reading == "" && o.Step == 0:
	case o.Reading == "" || o.Step == 0:
		return cli.Usagef("", "--step and --reading go together: which entry, and what was read off")
	case o.Step != item:
		return cli.Usagef("", "--step is %d, and it is the turn of entry %d: %s", o.Step, item, text)
	case hsm != "":
		return cli.Usagef("leave --step and --reading out", "entry %d has nothing to be read off: fleetctl tries a login itself", item)
	case words.Clean(o.Reading) != o.Reading || strings.TrimSpace(o.Reading) != o.Reading:
		return cli.Usagef("", "--reading has characters that can't be seen, or space around it")
	}
	return nil
}

// readOff has two people read something off.
func (o *Lockdown) readOff(a *cli.App, j *engine.Journal, item int) (*ceremony.Record, error) {
	r := newAtTerminal(a)
	switch {
	case o.Reading != "" && a.UI.Asks():
		a.UI.Say(a.UI.Talk.Line("Read off: " + o.Reading))
		if err := bothConfirm(a, item, fmt.Sprintf("confirm %d", item)); err != nil {
			return nil, err
		}
		return j.Lockdown(o.Reading, r.By(ceremony.Witness), r.By(ceremony.Auditor))
	case o.Reading != "":
		return j.Lockdown(o.Reading, ByMachine, ByMachine)
	case o.Unattended:
		return j.Lockdown("nothing, the machine stands in for people in a rehearsal", ByMachine, ByMachine)
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

// bothConfirm asks witness and auditor to type words of consent.
func bothConfirm(a *cli.App, item int, want string) error {
	for _, who := range []string{ceremony.Witness, ceremony.Auditor} {
		a.UI.About(fmt.Sprintf("lockdown %d %s", item, who), want)
		if err := a.UI.Consent(Capital(who)+", this is what I see.", want); err != nil {
			return err
		}
	}
	return nil
}

// loginRefused has the HSM refuse the PIN that opened it; witness and auditor confirm it.
func (o *Lockdown) loginRefused(ctx context.Context, a *cli.App, j *engine.Journal, item int, hsm string) (*ceremony.Record, error) {
	by, confirmed := ByMachine, ByMachine
	if !o.Unattended {
		by, confirmed = newAtTerminal(a).By(ceremony.Witness), newAtTerminal(a).By(ceremony.Auditor)
	}
	if o.NotShown != "" {
		a.UI.Say(a.UI.Talk.Line("The evidence will say that no refusal was shown: " + o.NotShown))
		if !o.Unattended {
			if err := bothConfirm(a, item, "not shown"); err != nil {
				return nil, err
			}
		}
		return j.LoginNotShown(o.NotShown, by, confirmed)
	}
	if o.Site == "" {
		return nil, cli.Usage(strict.Errorf("", "--site is missing: where %s is reached", hsm))
	}
	site, err := cli.ReadSite(o.Site, j.Account().Plan)
	if err != nil {
		return nil, err
	}
	at := *site.HSM(hsm)
	if o.PIN != "" {
		at.PIN = o.PIN
	}
	locked := func() error {
		a.UI.Say(a.UI.Talk.Line("The PIN opened " + hsm + ", and fleetctl holds it. Lock " + hsm + " down now, as its vendor's manual says; don't stop fleetctl. Then the same PIN is tried once more."))
		if o.Unattended {
			return nil
		}
		return bothConfirm(a, item, "locked down")
	}
	return j.LoginRefused(ctx, newTokens(a), &at, locked, by, confirmed)
}
