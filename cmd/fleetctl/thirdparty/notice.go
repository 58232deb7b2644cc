package thirdparty

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func noticeCmd(a *cli.App) *cobra.Command {
	var o options
	var yes string
	var approvals []string
	c := cli.Command("notice NOTICE", "Check a retirement or a void, show it, and sign its epoch",
		`Notice does for a retirement or a void what sign does for a request: officers
whom the policy pins must have approved its exact bytes, and it must follow what
the ledger has signed.`,
		"  fleetctl thirdparty notice notice.json --approval olga.sig --approval omar.sig --policy thirdparty.yaml --ledger ledger.jsonl --key KEY --out response.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			if err := cli.Free(o.out); err != nil {
				return err // before the ledger says that it was signed
			}
			n, list, err := cli.ReadNotice(args[0], approvals)
			if err != nil {
				return err
			}
			var in *thirdparty.NoticeInspection
			examine := func(p *thirdparty.Policy) (err error) {
				in, err = thirdparty.ExamineNotice(args[0], n, list, p)
				return cli.Wrong(err)
			}
			return atLedger(a, cmd, o, examine, func(_ *thirdparty.Policy, l *thirdparty.Ledger, s *signer.Key) error {
				if err := in.Follow(l); err != nil {
					return cli.Wrong(err)
				}
				a.UI.Say(cli.NoticeText(a, args[0], n, in.Officers, "", ""))
				if err := agreeTo(a, args[0], n.Epoch, n.Namespace, n.Digest(), yes); err != nil {
					return err
				}
				adder, done, err := o.adder(a, s)
				if err != nil {
					return err
				}
				defer done()
				in.AddBy(adder)
				r, err := thirdparty.SignNotice(in, l, a.Now(), s.For(keys.ForThirdParty))
				if err != nil {
					return err
				}
				if err := cli.WriteNew(o.out, r.Raw()); err != nil {
					return err
				}
				return cli.Noticed(a, args[0], n, in.Officers, o.out, "")
			})
		})
	c.Aliases = []string{"void", "retire"}
	o.flags(c)
	o.pqFlag(c)
	c.Flags().StringVar(&o.out, "out", "", "the response's new `file`")
	c.Flags().StringVar(&yes, "agree", "", "`digest` of the notice that is agreed to, in hex")
	c.Flags().StringArrayVar(&approvals, "approval", nil, cli.ApprovalHelp)
	return c
}
