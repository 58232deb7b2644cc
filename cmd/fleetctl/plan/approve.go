package plan

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func approveCmd(a *cli.App) *cobra.Command {
	var key, signature, dir, since string
	c := cli.Command("approve PLAN", "Approve exactly these plan bytes with one's own key",
		`Approve says in words what the plan means: who, how many, which keys in which
HSMs, what is tolerated, and what changed since you approved it last. It signs
the plan file's bytes (SSHSIG, as ssh-keygen -Y sign does), keeps the signature
beside the plan, and what was approved in private/. A ceremony starts once
enough officers have. Signed elsewhere: ssh-keygen -Y sign -n
fleetctl-plan[-rehearsal]
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
			v, err := signer.OpenSignatory(a, key, signature)
			if err != nil {
				return err
			}
			defer v.Done()
			if err := a.UI.Keep(func() error { return showPlan(a, args[0], root, plan, people, v, since) }); err != nil {
				return err
			}
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
	c.Flags().StringVar(&since, "since", "", "say what changed since this other plan `file`, such as the last epoch's")
	c.Flags().StringVar(&dir, "dir", "", "keep the signature in this `folder`'s plan-approvals (default: the plan's folder)")
	return c
}

// showPlan says to whoever signs what it means.
func showPlan(a *cli.App, file, root string, plan *ceremony.Plan, people *ceremony.People, v *signer.Signatory, since string) error {
	who, _, _ := people.RoleOf(v.Key) // nobody's key is refused where it is stored
	so, err := folder.ReadApproved(root, plan, who)
	if err != nil {
		return cli.Wrong(err)
	}
	var other []byte
	if since != "" {
		if other, err = cli.ReadFile(since); err != nil {
			return err
		}
	}
	return cli.Wrong(session.ShowPlan(a, file, plan, so, other))
}
