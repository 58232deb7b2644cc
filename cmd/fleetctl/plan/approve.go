package plan

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func approveCmd(a *cli.App) *cobra.Command {
	var key, signature, dir string
	c := cli.Command("approve PLAN", "Approve exactly these plan bytes with one's own key",
		`Approve signs the plan file's bytes (SSHSIG, as ssh-keygen -Y sign does) and
keeps the signature beside the plan. A ceremony starts once enough officers
have. Signed elsewhere: ssh-keygen -Y sign -n fleetctl-plan[-rehearsal]
plan.yaml, then --signature plan.yaml.sig.`,
		"  fleetctl plan approve plan.yaml --key ~/.ssh/id_ed25519\n  fleetctl plan approve plan.yaml --signature plan.yaml.sig",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			plan, err := cli.ReadPlan(args[0])
			if err != nil {
				return err
			}
			people, err := ceremony.PeopleOf(plan)
			if err != nil {
				return err
			}
			root := filepath.Dir(args[0])
			if dir != "" {
				root = dir
			}
			digest := plan.Digest()
			a.UI.Say(a.UI.Talk.Header(fmt.Sprintf("%s · epoch %d", plan.Fleet, plan.Epoch), strings.ToUpper(plan.Mode)),
				a.UI.Talk.Line(args[0]+" has SHA-256"), a.UI.Talk.Hex(digest[:]), "\n", a.UI.Talk.Words(digest[:], 4, true), "\n")
			if list := plan.Tolerates(); len(list) > 0 {
				a.UI.Say(a.UI.Talk.Line("It tolerates that an attempt on a key succeeds: " + ceremony.TellTolerated(list)))
			}
			v, err := signer.OpenSignatory(a, key, signature)
			if err != nil {
				return err
			}
			defer v.Done()
			namespace := ceremony.SignNamespace(ceremony.NamespacePlan, plan.Mode)
			sig, err := signer.AskAndSign(a, v, plan.Mode, namespace, plan.Raw(), "approve the plan")
			if err != nil {
				return err
			}
			kept, err := folder.StoreSignature(root, ceremony.PlanApprovalsDir, "", people, namespace, plan.Raw(), sig)
			if err != nil {
				return cli.Wrong(err)
			}
			return signer.TellSigned(a, "plan", kept, filepath.Join(root, ceremony.PlanApprovalsDir))
		})
	signer.SignatoryFlags(c, &key, &signature)
	c.Flags().StringVar(&dir, "dir", "", "keep the signature in this `folder`'s plan-approvals (default: the plan's folder)")
	return c
}
