package ceremony

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func abortCmd(a *cli.App) *cobra.Command {
	var site, reason, clock string
	var keys []string
	var s session.StandIn
	c := cli.Command("abort DIR", "End a ceremony by hand: destroy every key it made, and say why",
		`Abort destroys every key that the ceremony made, as far as the tokens can be
reached, and appends a last record with the reason and what became of each key.
It takes nobody's leave. Then whoever is there signs exactly that record, with
ceremony sign --approve abort: as many officers as the plan wants, a witness and
an auditor prove that it ended so, two people attest to it, one of them an
officer. Then it is packed and logged, as a ceremony that was closed is: without
that nobody takes it for an ending. What was released to third parties can't be
called back so.`,
		`  fleetctl ceremony abort ceremony --site site.yaml --reason 'seal of hsm-3 was broken'
  fleetctl ceremony sign ceremony --approve abort --key olga
  fleetctl evidence pack ceremony --out aborted.tar`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site", "reason"); err != nil {
				return err
			}
			before, err := folder.ReadToLastRecord(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			if before.Ended() || before.Open == nil {
				return cli.Usage(strict.Errorf(args[0], "there is nothing to abort: the ceremony has ended or not begun"))
			}
			if err := s.Use(a, before.Plan.Mode); err != nil {
				return err
			}
			if len(keys) > 0 && before.Plan.Mode != ceremony.Rehearsal {
				return signer.SignWithRefused(args[0], ceremony.ApproveAbort)
			}
			if a.UI.Asks() {
				a.UI.About("abort consent", "destroy and abort")
				if err := a.UI.Consent("Every key that this ceremony made is destroyed.", "destroy and abort"); err != nil {
					return s.Over(err)
				}
			}
			c, err := session.Config(a, args[0], site, nil)
			if err != nil {
				return err
			}
			if c.Wall, err = readWall(clock); err != nil {
				return err
			}
			c.Participants = session.Listeners(a, before.Plan.Mode, &s)
			account, err := engine.Abort(cmd.Context(), c, reason)
			if err != nil {
				return s.Over(err)
			}
			if err := signAbort(a, args[0], account, keys); err != nil {
				return s.Over(err)
			}
			return s.Over(tellStatus(a, args[0], account))
		})
	c.Flags().StringVar(&site, "site", "", "the site `file`: where the plan's HSMs are")
	c.Flags().StringVar(&reason, "reason", "", "why, in `words` that will be published")
	clockFlag(c, &clock)
	session.SignWithFlag(c, &keys)
	s.AnswersFlag(c)
	return c
}

// signAbort lets a rehearsal's officers sign the abort here and now.
func signAbort(a *cli.App, dir string, c *ceremony.Account, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	people, err := c.People()
	if err != nil {
		return err
	}
	want := c.AbortApproval()
	want.Role = ceremony.Officer
	session.ShowAbort(a, c)
	a.ShowText(want.Text())
	for _, ref := range keys {
		if err := signer.Approve(a, dir, people, want, ref); err != nil {
			return err
		}
	}
	return nil
}

// abortedBy says who signed an abort, and what more would prove it.
func abortedBy(dir string, c *ceremony.Account) (names []string, rows [][2]string, err error) {
	signed, err := folder.ReadAbortVerdicts(dir, c)
	if err != nil || c.Abort == nil {
		return nil, nil, err
	}
	names = signed.Names()
	slices.Sort(names)
	by := "by nobody: it is the record's word alone"
	if len(names) > 0 {
		by = "by " + strings.Join(names, ", ")
	}
	missing := signed.Enough(c.Plan.Threshold)
	if missing != nil && len(names) > 0 {
		by += "; to prove it: " + missing.Error()
	}
	rows = [][2]string{{"signed", by}}
	if missing != nil {
		rows = append(rows, [2]string{"next", "officers, witness and auditor, whoever is there, sign it:"}, [2]string{"", "fleetctl ceremony sign " + dir + " --approve abort --key KEY"})
	}
	return names, append(rows, [2]string{"then", "pack it and log it, once nobody else will sign:"},
		[2]string{"", "fleetctl evidence pack " + dir + " --out aborted.tar"}, [2]string{"", "fleetctl log append aborted.tar --log LOG --key KEY"}), nil
}
