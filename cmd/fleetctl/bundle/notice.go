package bundle

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func retireCmd(a *cli.App) *cobra.Command {
	return writeNoticeCmd(a, "retire LAST", "Write the artifact that ends a fleet: its retirement", bundle.RetirementFormat,
		`Retire writes a fleet-retirement: the artifact of the epoch after LAST, the
fleet's newest bundle or key set. Devices that saw it take nothing of the fleet
any more. Officers approve it, third parties sign it (thirdparty notice), the
operator countersigns it (bundle notice), as an epoch of keys.`,
		"  fleetctl bundle retire epoch7/bundle.json --effective 2027-03-01T00:00:00Z --reason 'replaced by backup-2027a' --out notice.json")
}

func voidCmd(a *cli.App) *cobra.Command {
	return writeNoticeCmd(a, "void ABANDONED", "Write the artifact that voids an abandoned epoch", bundle.VoidFormat,
		`Void writes the artifact of the epoch after ABANDONED, a key set that some third
parties have signed and that never came into force. Those who have not signed
ABANDONED leave its epoch out and sign the void.`,
		"  fleetctl bundle void epoch7/fleet-keys.json --reason 'auditor.example is gone' --out notice.json")
}

func writeNoticeCmd(a *cli.App, use, short, format, long, example string) *cobra.Command {
	var out, reason, effective string
	c := cli.Command(use, short, long, example, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		needed := []string{"out", "reason"}
		if format == bundle.RetirementFormat {
			needed = append(needed, "effective")
		}
		if err := cli.Required(cmd, needed...); err != nil {
			return err
		}
		before, err := readKeySet(args[0])
		if err != nil {
			return err
		}
		n := &bundle.Notice{
			Format: format, Mode: before.Mode, Fleet: before.Fleet, Namespace: before.Namespace, Epoch: before.Epoch + 1,
			Previous: before.Digest(), Created: a.Now().UTC().Truncate(time.Second), Reason: reason,
		}
		if effective != "" {
			from, err := strict.ParseTime(effective)
			if err != nil {
				return cli.Usagef("", "--effective %v", err)
			}
			n.Effective = &from
		}
		if n, err = bundle.ParseNotice(out, n.Encode()); err != nil {
			return cli.Usage(err)
		}
		if err := cli.WriteNew(out, n.Raw()); err != nil {
			return err
		}
		return cli.Noticed(a, out, n, nil, "", "ssh-keygen -Y sign -n "+thirdparty.NoticeNamespace(n)+" -f KEY "+out)
	})
	f := c.Flags()
	f.StringVar(&out, "out", "", "the notice's new `file`")
	f.StringVar(&reason, "reason", "", "why, in one `line`")
	if format == bundle.RetirementFormat {
		f.StringVar(&effective, "effective", "", "from which `time` on the keys are not to be used, such as 2027-03-01T00:00:00Z")
	}
	return c
}

func noticeCmd(a *cli.App) *cobra.Command {
	var plan, key, pqKey, out string
	var approvals, responses []string
	c := cli.Command("notice NOTICE", "Countersign a signed retirement or void, and assemble its bundle",
		`Notice verifies the third parties' responses and the officers' approvals under
the plan of the fleet's last ceremony, has the operator's key countersign, and
writes the bundle, which is logged as any other.`,
		"  fleetctl bundle notice notice.json --plan plan.yaml --response response.json --approval olga.sig --approval omar.sig --key KEY --out bundle.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "plan", "key", "out"); err != nil {
				return err
			}
			if err := cli.Free(out); err != nil {
				return err // before the operator's key signs
			}
			n, list, err := cli.ReadNotice(args[0], approvals)
			if err != nil {
				return err
			}
			p, err := cli.ReadPlan(plan)
			if err != nil {
				return err
			}
			return assembleNotice(a, args[0], n, list, p, responses, [2]string{key, pqKey}, out)
		})
	f := c.Flags()
	f.StringVar(&plan, "plan", "", "the plan `file` that names third parties, officers and countersigner")
	f.StringArrayVar(&responses, "response", nil, "a third party's response `file`, or its statement as it is served")
	f.StringArrayVar(&approvals, "approval", nil, cli.ApprovalHelp)
	f.StringVar(&key, "key", "", signer.Help)
	pqKeyFlag(c, &pqKey)
	f.StringVar(&out, "out", "", "the bundle's new `file`")
	return c
}

func assembleNotice(a *cli.App, file string, n *bundle.Notice, approvals []ceremony.Signing, p *ceremony.Plan, responses []string, refs [2]string, out string) error {
	var answers []*bundle.Response
	for _, path := range responses {
		data, err := cli.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := bundle.ParseAnswer(path, data, p.PartyKeys())
		if err != nil {
			return cli.Wrong(err)
		}
		answers = append(answers, r)
	}
	x, err := thirdparty.NewNoticeAssembly(file, n, approvals, p, answers)
	if err != nil {
		return cli.Wrong(err)
	}
	a.UI.Say(cli.NoticeText(a, file, n, x.Officers, "", ""))
	a.ShowText(x.Text)
	s, err := signer.Open(a, refs[0])
	if err != nil {
		return err
	}
	defer s.Close()
	beside, done, err := besideKey(a, refs[1], s)
	if err != nil {
		return err
	}
	defer done()
	signatures, err := countersigned(x, append([]engine.CountersignKey{{Public: s.Public, Sign: s.For(keys.ForCountersignature)}}, beside...))
	if err != nil {
		return err
	}
	b, err := x.Bundle(signatures, a.Now())
	if err != nil {
		return cli.Wrong(err)
	}
	if err := cli.WriteNew(out, b.Raw()); err != nil {
		return err
	}
	return cli.Noticed(a, file, n, x.Officers, out, "")
}

// countersigned has the operator's keys, which are the plan's, sign the text.
func countersigned(x *thirdparty.NoticeAssembly, by []engine.CountersignKey) (list []bundle.Countersignature, err error) {
	var postQuantum *bundle.PublicKey
	if len(by) > 1 {
		postQuantum = by[1].Public
	}
	if err := x.CheckKeys(by[0].Public, postQuantum); err != nil {
		flags := strings.NewReplacer("the post-quantum key is", "--pq-key is", "the key is", "--key is")
		return nil, cli.Usagef("", "%s", flags.Replace(err.Error()))
	}
	for _, k := range by {
		sig, err := k.Sign(x.Text)
		if err != nil {
			return nil, err
		}
		list = append(list, bundle.Countersignature{Key: k.Public, Form: x.Form(), Signature: sig})
	}
	return list, nil
}
