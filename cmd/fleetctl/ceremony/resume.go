package ceremony

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
)

func resumeCmd(a *cli.App) *cobra.Command {
	var site, policy string
	var keys []string
	var s session.StandIn
	c := cli.Command("resume DIR", "Go on with a ceremony that was interrupted",
		`Resume replays the transcript, keeps a torn last line aside, and settles an
intent that was open with its token: a key that came of it is destroyed, and its
step begins anew. m officers have to approve it, over the last whole record.`,
		"  fleetctl ceremony sign ceremony --approve resume --key olga\n  fleetctl ceremony resume ceremony --site site.yaml --policy room.yaml",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site"); err != nil {
				return err
			}
			before, err := folder.ReadToLastRecord(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			pinned, err := pinnedAgain(before.Plan, policy)
			if err != nil {
				return err
			}
			c, err := session.Config(a, args[0], site, keys)
			if err != nil {
				return err
			}
			judgedBy(a, &c, before.Plan, pinned)
			if c.Participants, err = session.People(a, before.Plan.Mode, &s); err != nil {
				return err
			}
			account, err := engine.Resume(cmd.Context(), c)
			if err != nil {
				return s.Over(session.Pausing(args[0], err))
			}
			return s.Over(tellStatus(a, args[0], account))
		})
	c.Flags().StringVar(&site, "site", "", "the site `file`: where the plan's HSMs are")
	c.Flags().StringVar(&policy, "policy", "", "the policy `file` under which it began: devices' attestations are judged by it")
	session.SignWithFlag(c, &keys)
	s.Flags(c)
	s.AttestationsFlag(c)
	return c
}

// pinnedAgain is the policy under which a ceremony began. It is needed where devices
// are still to be judged, and a plan that names none goes on without.
func pinnedAgain(p *ceremony.Plan, file string) (*evidence.Policy, error) {
	if file == "" && (p.Mode == ceremony.Rehearsal || !p.Attested() && p.Countersigner.Attestation == nil) {
		return nil, nil
	}
	return pinnedPlan(p, file)
}
