package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func ceremonyResumeCmd(a *cli.App) *cobra.Command {
	var site string
	var keys []string
	var s session.StandIn
	c := cli.Command("resume DIR", "Go on with a ceremony that was interrupted",
		`Resume replays the transcript, keeps a torn last line aside, and settles an
intent that was open with its token: a key that came of it is destroyed, and its
step begins anew. m officers have to approve it, over the last whole record.`,
		"  fleetctl ceremony sign ceremony --approve resume --key olga\n  fleetctl ceremony resume ceremony --site site.yaml",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site"); err != nil {
				return err
			}
			before, err := folder.ReadToLastRecord(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			c, err := session.Config(a, args[0], site, keys)
			if err != nil {
				return err
			}
			if c.Participants, err = session.People(a, before.Plan.Mode, &s); err != nil {
				return err
			}
			account, err := engine.Resume(cmd.Context(), c)
			if err != nil {
				return s.Over(session.Pausing(args[0], err))
			}
			return s.Over(ceremonyResult(a, args[0], account))
		})
	c.Flags().StringVar(&site, "site", "", "the site `file`: where the plan's HSMs are")
	session.SignWithFlag(c, &keys)
	s.Flags(c)
	return c
}

func ceremonyAdjournCmd(a *cli.App) *cobra.Command {
	var reason string
	var seals []string
	c := cli.Command("adjourn DIR", "Interrupt a ceremony as planned, between two steps",
		"Adjourn records why and under which seals everything is kept until the ceremony\nis reconvened. In production every HSM of the plan needs one, under its name.",
		"  fleetctl ceremony adjourn ceremony --reason 'the third party needs two days' --seal 'safe 1=4471 9920'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "reason"); err != nil {
				return err
			}
			list, err := parseSeals(seals)
			if err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if err := j.Adjourn(&ceremony.Adjourn{Reason: reason, Seals: list}); err != nil {
					return cli.Usage(err)
				}
				return ceremonyResult(a, args[0], j.Account())
			})
		})
	c.Flags().StringVar(&reason, "reason", "", "why, in `words` that will be published")
	c.Flags().StringArrayVar(&seals, "seal", nil, "`what=number` of a seal")
	return c
}

func ceremonyReconveneCmd(a *cli.App) *cobra.Command {
	var seals, keys []string
	c := cli.Command("reconvene DIR", "Go on with a ceremony that was adjourned",
		"Reconvene records the seals as they were found; in production every HSM of the\nplan needs one. m officers have to approve it.",
		"  fleetctl ceremony sign ceremony --approve reconvene --key olga\n  fleetctl ceremony reconvene ceremony --seal 'safe 1=4471 9920'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			list, err := parseSeals(seals)
			if err != nil {
				return err
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				if !j.Account().Adjourned {
					return cli.Usage(strict.Errorf(args[0], "the ceremony is not adjourned"))
				}
				var waits *folder.Pending
				err := j.Reconvene(cmd.Context(), &ceremony.Reconvene{Seals: list}, signer.Approver(a, keys))
				switch {
				case errors.As(err, &waits):
					return session.Pausing(args[0], err)
				case err != nil:
					return cli.Usage(err)
				}
				return ceremonyResult(a, args[0], j.Account())
			})
		})
	c.Flags().StringArrayVar(&seals, "seal", nil, "`what=number` of a seal as it was found")
	session.SignWithFlag(c, &keys)
	return c
}

func ceremonyExceptionCmd(a *cli.App) *cobra.Command {
	var e ceremony.Exception
	var clock string
	c := cli.Command("exception DIR", "Record that something went otherwise than planned",
		`Exception records what was expected, what happened and what was decided, under
the next number. m officers have to accept it, with
fleetctl ceremony sign --approve exception. It will be published.

Every witness and auditor of the plan gives a verdict on the release, and on the
close. Of who doesn't, --absent says so: recorded before the request for the
release, and after it and before the close for the close. At least one of each
has to be there.

Where this computer's clock was set, nothing is recorded until people say with
--clock what another clock shows: then it goes on from there.`,
		"  fleetctl ceremony exception ceremony --expected 'seal 4471' --happened 'seal 4417' --decided 'a slip of the pen in the plan'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "expected", "happened", "decided"); err != nil {
				return err
			}
			wall, err := readWall(clock)
			if err != nil {
				return err
			}
			if wall != nil {
				if err := session.CeremonyThere(args[0]); err != nil {
					return err
				}
				account, err := engine.ExplainClock(args[0], a.Now, a.Random, e, *wall)
				if err != nil {
					return cli.Usage(err)
				}
				return ceremonyResult(a, args[0], account)
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				e.Number = len(j.Account().Exceptions) + 1
				if _, err := j.Append(&e); err != nil {
					return cli.Usage(err)
				}
				return ceremonyResult(a, args[0], j.Account())
			})
		})
	f := c.Flags()
	f.StringVar(&e.Expected, "expected", "", "what was planned, in `words`")
	f.StringVar(&e.Happened, "happened", "", "what happened, in `words`")
	f.StringVar(&e.Decided, "decided", "", "what was decided, in `words`")
	f.StringArrayVar(&e.Absent, "absent", nil, "the `name` of a witness or auditor who gives no verdict on the stage that comes next; may be repeated")
	clockFlag(c, &clock)
	return c
}

func clockFlag(c *cobra.Command, clock *string) {
	c.Flags().StringVar(clock, "clock", "", "this computer's clock was set: `what` another clock shows, in UTC, as 2026-11-21 14:05")
}

// readWall reads what people read off another clock; nil where they weren't asked.
func readWall(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			return &t, nil
		}
	}
	return nil, cli.Usagef("", "--clock %q is no time like 2026-11-21 14:05, in UTC", text)
}

func parseSeals(list []string) ([]ceremony.Seal, error) {
	seals := []ceremony.Seal{}
	for _, s := range list {
		what, number, ok := strings.Cut(s, "=")
		if !ok || what == "" || number == "" {
			return nil, cli.Usagef("", "--seal %q is not what=number", s)
		}
		seals = append(seals, ceremony.Seal{What: what, Number: number})
	}
	return seals, nil
}
