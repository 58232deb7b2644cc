package device

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type checkOptions struct {
	given
	state, guard string
	begin        bool
}

func checkCmd(a *cli.App) *cobra.Command {
	o := &checkOptions{}
	c := cli.Command("check BUNDLE", "Check a bundle as a phone does, and remember it",
		`Check does what a device does with a fleet's answer, in one call and offline:
third parties' and operator's signatures, the log's proof and its quorum of
witnesses, how old that is, and whether the epoch continues what this device has
seen. It remembers the fleet's epoch, which of them is superseded, void or
retired, and when witnesses signed last, in the file --state; and which state
that is in the file --guard, which belongs into another place, one that is not
put back from backups. A state that its guard has not seen is refused.

At first contact, when there is neither, say --begin: once, at installation.

Exit codes: 0 accepted, and remembered, which a retirement or a void is too,
though it brings no keys; 1 refused; 6 one epoch has two artifacts, which is an
alarm: keep both bundles.`,
		`  fleetctl device check bundle.json --policy device.json --state state.json --guard /secure/guard --begin
  fleetctl device check bundle.json --policy policy.yaml --max-age 168h --state state.json --format json`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "policy", "state"); err != nil {
				return err
			}
			return o.run(a, cmd, args[0])
		})
	f := c.Flags()
	o.given.flags(f)
	a.Reports(c)
	f.StringVar(&o.state, "state", "", "the `file` of what the device remembers of its fleet")
	f.StringVar(&o.guard, "guard", "", "the `file` that says which state that is (default: STATE.guard)")
	f.BoolVar(&o.begin, "begin", false, "begin a state where there is neither state nor guard")
	return c
}

func (o *checkOptions) run(a *cli.App, cmd *cobra.Command, file string) error {
	q, err := o.read(a, cmd, file)
	if err != nil {
		return err
	}
	if o.guard == "" {
		o.guard = o.state + ".guard"
	}
	q.State, q.Guard, q.Begin = device.File(o.state), device.File(o.guard), o.begin
	v, err := device.Check(*q)
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r):
		return refused(a, o.named(r, file), file, q.Bundle, q.Policy, q.Now)
	case errors.Is(err, bundle.ErrTrust):
		return cli.Usage(err)
	case err != nil:
		return err
	}
	out := accepted(file, q.Bundle, q.Policy, q.Now, v)
	return a.Tell(cli.Judged{JSON: func() []byte { return strict.EncodeJSON(out) }, Run: func() *report.Run { return checks(out, cli.ExitDone) },
		Text: func() string { return strings.Join(screen(a, out, q.Policy, v), "") }})
}
