package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
)

type policyJSON struct {
	File     string       `strict:"file"`
	SHA256   [32]byte     `strict:"sha256,hex"`
	Mode     string       `strict:"mode"`
	Claims   []demandJSON `strict:"claims"`
	Unpinned []string     `strict:"unpinned"`
	Allows   []string     `strict:"allows"`
	// What may have been done to a key with success, for the verdict to stand.
	Tolerates []string `strict:"tolerates,optional"`
	// Short are the demands that the plan's ceremony can't reach under it.
	Short []cli.Outlook `strict:"out_of_reach,optional"`
}

// Format is what the JSON says that it is.
func (*policyJSON) Format() string { return "fleetctl policy check result v1" }

type demandJSON struct {
	Name  string `strict:"name"`
	Least string `strict:"least"`
}

func newCmd(a *cli.App) *cobra.Command {
	var plan, confirmed, out string
	var tolerates, anchors []string
	c := cli.Command("new", "Write a policy that pins a plan's keys",
		`New writes a policy that pins the keys of a plan. That is trust on first use:
compare each key with its owner over another channel, then write how beside
it, under confirmed:. Until then nothing is verified under it, but with
--trust-on-first-use, and every report says that it is UNPINNED. A
rehearsal's policy demands the claims that its folder can show, a production
policy demands all of them. What the plan's ceremony can't reach as plan and
policy stand is said line by line, here and in the file, with what to do.

An anchor is a vendor's root, of those that fleetctl attestation anchors lists,
by its name: devices' attestations count under those that you pin.`,
		"  fleetctl policy new --plan plan.yaml --out policy.yaml",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "plan", "out"); err != nil {
				return err
			}
			p, err := cli.ReadPlan(plan)
			if err != nil {
				return err
			}
			pinned, err := shipped(anchors)
			if err != nil {
				return err
			}
			data, err := planned.NewPolicy(p, confirmed, tolerates, pinned...)
			if err != nil {
				return err
			}
			policy, err := evidence.ParsePolicy(out, data)
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, data); err != nil {
				return err
			}
			return policyResult(a, policy, planned.Short(planned.Forecast(p, policy)))
		})
	f := c.Flags()
	f.StringVar(&plan, "plan", "", "the plan `file` to take the keys from")
	f.StringVar(&confirmed, "confirmed", "", "how every key was confirmed with its owner; `text` written beside each")
	f.StringSliceVar(&tolerates, "tolerates", nil, "an `attempt` on a key that may have succeeded where the plan tolerates it: relax-extractable, relax-sensitive")
	f.StringArrayVar(&anchors, "anchor", nil, "the `name` of a vendor's root that comes with fleetctl, to pin it")
	f.StringVar(&out, "out", "", "the policy's new `file`")
	return c
}

// shipped finds vendors' roots by their names.
func shipped(names []string) (list []attest.Anchor, err error) {
	all, err := attest.ParseAnchors("the anchors that come with fleetctl", attest.Shipped())
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(all.All(), func(a attest.Anchor) bool { return a.Name == name })
		if i < 0 {
			return nil, cli.Usagef("list them with\nfleetctl attestation anchors --out anchors.yaml\nand write any other anchor into the policy, under attestation:", "no anchor that comes with fleetctl is named %q", name)
		}
		list = append(list, all.All()[i])
	}
	return list, nil
}

func policyResult(a *cli.App, p *evidence.Policy, short []planned.Outlook) error {
	out := policyJSON{File: p.File, SHA256: p.Digest, Mode: p.Mode, Claims: []demandJSON{}, Unpinned: []string{}, Tolerates: p.Tolerates, Allows: p.Allows(), Short: cli.Outlooks(short)}
	out.Unpinned = append(out.Unpinned, p.Unpinned()...)
	var claims [][]string
	for _, d := range p.Demands {
		out.Claims = append(out.Claims, demandJSON{d.Claim, d.Least.String()})
		claims = append(claims, []string{d.Claim, d.Least.String()})
	}
	rows := [][2]string{
		{"policy", p.File}, {"sha256", fmt.Sprintf("%x", p.Digest)}, {"mode", strings.ToUpper(p.Mode)},
		{"namespaces", strings.Join(p.Namespaces, ", ")}, {"keys", p.TellPinned()},
	}
	if len(p.Tolerates) > 0 {
		rows = append(rows, [2]string{"tolerates", strings.Join(p.Tolerates, ", ")})
	}
	for _, allowed := range p.Allows() {
		rows = append(rows, [2]string{"allowed", allowed})
	}
	for i, name := range p.Unpinned() {
		label := ""
		if i == 0 {
			label = "unconfirmed"
		}
		rows = append(rows, [2]string{label, name})
	}
	if len(short) > 0 {
		a.UI.Say("\n", cli.Forecast(a, short))
	}
	return a.Tell(cli.Judged{JSON: func() []byte { return cli.JSON(&out) }, Run: func() *report.Run { return checks(p, a.Now()) },
		Text: func() string {
			return a.UI.Fields(rows) + "\n" + a.UI.Table([]string{"claim demanded", "at least"}, claims)
		}})
}
