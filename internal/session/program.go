package session

import (
	"context"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// OtherProgram shows which program ran the ceremony so far and which one this is. The
// auditor compares it with a copy of their own, as at the opening.
func (r atTerminal) OtherProgram(_ context.Context, was, is ceremony.Program) error {
	p := r.a.UI.Talk
	r.a.UI.Say("\n", p.Line("This is another program than the one that ran the ceremony so far."),
		p.Line(fmt.Sprintf("So far fleetctl %s, SHA-256:", was.Version)), p.Hex(was.Binary[:]),
		p.Line(fmt.Sprintf("Now fleetctl %s, SHA-256. Auditor: is it that of your own copy?", is.Version)), p.Hex(is.Binary[:]), "\n")
	r.a.UI.About("resume program", "go on with another program")
	return r.a.UI.Consent("The record will say that another program goes on.", "go on with another program")
}

// AgreeToProgram has whoever sits at the terminal agree to another program than the
// one that ran a ceremony last. A rehearsal that is no session at a terminal says so
// by its command.
func AgreeToProgram(ctx context.Context, a *cli.App, c *ceremony.Account, is ceremony.Program) error {
	was := c.Program()
	switch {
	case was.Binary == is.Binary: // which is refused when it is to be recorded
		return nil
	case !a.UI.Asks() && c.Plan.Mode == ceremony.Rehearsal:
		return nil
	case !a.UI.Asks():
		return cli.Usagef("run it at a terminal", "people have to agree to another program, and there is no terminal to ask at")
	}
	return newAtTerminal(a).OtherProgram(ctx, was, is)
}

// OtherProgram is why nobody is here.
func (n nobody) OtherProgram(context.Context, ceremony.Program, ceremony.Program) error { return n.err }

// OtherProgram is for people alone: nobody here has a copy to compare it with.
func (m unattendedPeople) OtherProgram(context.Context, ceremony.Program, ceremony.Program) error {
	return cli.Exit(cli.ExitPending, fmt.Errorf("people have to agree to that: run it without --unattended"))
}
