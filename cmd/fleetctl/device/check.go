package device

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
)

type checkOptions struct {
	policy                  cli.DevicePolicy
	state, guard, proof, at string
	begin                   bool
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
	o.policy.Flags(f)
	f.StringVar(&o.state, "state", "", "the `file` of what the device remembers of its fleet")
	f.StringVar(&o.guard, "guard", "", "the `file` that says which state that is (default: STATE.guard)")
	f.StringVar(&o.proof, "proof", "", "the log proof `file` (default: BUNDLE.tlog-proof)")
	f.StringVar(&o.at, "time", "", "judge as of this `time`, such as 2026-11-21T10:00:00Z (default: the clock)")
	f.BoolVar(&o.begin, "begin", false, "begin a state where there is neither state nor guard")
	return c
}

func (o *checkOptions) run(a *cli.App, cmd *cobra.Command, file string) error {
	p, err := o.policy.Read(cmd, device.Pins{})
	if err != nil {
		return err
	}
	now, err := a.TimeAsked(o.at)
	if err != nil {
		return err
	}
	b, proof, err := cli.ReadAnswer(file, o.proof)
	if err != nil {
		return err
	}
	if o.guard == "" {
		o.guard = o.state + ".guard"
	}
	v, err := device.Check(device.Question{Bundle: b, Proof: proof, Policy: p, Now: now, State: device.File(o.state), Guard: device.File(o.guard), Begin: o.begin})
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r):
		return refused(a, r, file, b, p, now)
	case errors.Is(err, bundle.ErrTrust):
		return cli.Usage(err)
	case err != nil:
		return err
	}
	out := accepted(file, b, p, now, v)
	return a.Emit(out, screen(a, out, p, v)...)
}
