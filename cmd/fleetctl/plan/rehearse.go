package plan

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func rehearseCmd(a *cli.App) *cobra.Command {
	var o newOptions
	c := cli.Command("rehearse PLAN", "Derive the rehearsal of a production plan",
		`Rehearse writes the plan of a rehearsal: the same fleet, people, roles and
steps, on the tokens of a module in place of the HSMs. Its namespace begins with
"rehearsal.", it names the plan it rehearses, and the third party's, operator's
and log's keys are its own, so that nothing which comes of it can pass for real.`,
		`  fleetctl plan rehearse plan.yaml --module /usr/lib/softhsm/libsofthsm2.so --label-prefix fleet- \
      --third-party auditor.example=rehearsal-party.pub --countersigner operator-1=rehearsal-operator.pub \
      --log-policy rehearsal-log.policy --out rehearsal.yaml --site-out rehearsal-site.yaml`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "module", "out", "site-out", "countersigner", "log-policy"); err != nil {
				return err
			}
			p, err := cli.ReadPlan(args[0])
			if err != nil {
				return err
			}
			return rehearse(a, p, o)
		})
	f := c.Flags()
	signer.ModuleFlags(c, &o.module, &o.initArgs)
	f.StringVar(&o.prefix, "label-prefix", "", "only tokens whose label begins with this `text`")
	f.StringVar(&o.pin, "pin", "terminal", "`source` of the PINs, for the site file; %s stands for the token's label")
	f.StringArrayVar(&o.parties, "third-party", nil, "`name=key` of the rehearsal's own third party")
	f.StringVar(&o.countersigner, "countersigner", "", "`name=key` of the rehearsal's own operator")
	f.StringVar(&o.logPolicy, "log-policy", "", "`file` of the rehearsal's own log (C2SP tlog-policy)")
	f.StringVar(&o.out, "out", "", "the plan's new `file`")
	f.StringVar(&o.siteOut, "site-out", "", "the site's new `file`")
	return c
}

func rehearse(a *cli.App, p *ceremony.Plan, o newOptions) error {
	if p.Mode != ceremony.Production {
		return cli.Usagef("", "the plan is a %s itself; production plans are rehearsed", p.Mode)
	}
	d := draft.Rehearsal(p)
	found := &draft.Plan{}
	o.hsms = len(p.HSMs)
	labels, _, err := tokensForPlan(a, o, found)
	if err != nil {
		return err
	}
	for i := range d.HSMs {
		d.HSMs[i].Serial = found.HSMs[i].Serial
	}
	o.form = p.Countersigner.Form
	if err := o.keys(d); err != nil {
		return err
	}
	if err := d.CheckRehearsal(p); err != nil {
		return cli.Usage(err)
	}
	data, err := d.Write()
	if err != nil {
		return err
	}
	if _, err := ceremony.ParsePlan(o.out, data); err != nil {
		return cli.Usage(err)
	}
	if err := writePlan(o, data, d.HSMs, labels); err != nil {
		return err
	}
	return a.Emit(&newJSON{o.out, bundle.Digest(data), o.siteOut, len(d.HSMs)}, a.UI.Fields([][2]string{
		{"rehearsal", o.out}, {"sha256", fmt.Sprintf("%x", bundle.Digest(data))},
		{"of the plan", fmt.Sprintf("%x", p.Digest())}, {"next", "fleetctl plan approve " + o.out + " --key KEY"},
	}))
}
