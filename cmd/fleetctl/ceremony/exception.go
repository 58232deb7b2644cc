package ceremony

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
)

func exceptionCmd(a *cli.App) *cobra.Command {
	var e ceremony.Exception
	var clock string
	var program bool
	c := cli.Command("exception DIR", "Record that something went otherwise than planned",
		`Exception records what was expected, what happened and what was decided, under
the next number. m officers have to accept it, with
fleetctl ceremony sign --approve exception. It will be published.

Every witness and auditor of the plan gives a verdict on the release, and on the
close. Of who doesn't, --absent says so: recorded before the request for the
release, and after it and before the close for the close. At least one of each
has to be there.

An attestation with problems holds up the release until an exception names its
record with --attestation.

Where this computer's clock was set, nothing is recorded until people say with
--clock what another clock shows: then it goes on from there. Where another
fleetctl is to go on than the one that ran the ceremony so far, nothing is
recorded until people say so with --program.`,
		"  fleetctl ceremony exception ceremony --expected 'seal 4471' --happened 'seal 4417' --decided 'a slip of the pen in the plan'",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "expected", "happened", "decided"); err != nil {
				return err
			}
			wall, err := readWall(clock)
			if err != nil {
				return err
			}
			if wall != nil || program {
				account, err := explained(cmd.Context(), a, args[0], e, wall, program)
				if err != nil {
					return err
				}
				return tellStatus(a, args[0], account)
			}
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				e.Number = len(j.Account().Exceptions) + 1
				if _, err := j.Append(&e); err != nil {
					return cli.Usage(err)
				}
				return tellStatus(a, args[0], j.Account())
			})
		})
	f := c.Flags()
	f.StringVar(&e.Expected, "expected", "", "what was planned, in `words`")
	f.StringVar(&e.Happened, "happened", "", "what happened, in `words`")
	f.StringVar(&e.Decided, "decided", "", "what was decided, in `words`")
	f.StringArrayVar(&e.Absent, "absent", nil, "the `name` of a witness or auditor who gives no verdict on the stage that comes next; may be repeated")
	f.IntSliceVar(&e.Attestations, "attestation", nil, "the `number` of the record of an attestation whose problems officers accept; may be repeated")
	clockFlag(c, &clock)
	c.Flags().BoolVar(&program, "program", false, "people agree that this fleetctl goes on, which is another one than ran the ceremony so far")
	return c
}

// explained records an exception without which no other record can be written: the
// clock was set, or another program goes on, or both.
func explained(ctx context.Context, a *cli.App, dir string, e ceremony.Exception, wall *time.Time, program bool) (*ceremony.Account, error) {
	if err := session.CeremonyThere(dir); err != nil {
		return nil, err
	}
	is, err := session.Program()
	if err != nil {
		return nil, err
	}
	before, err := folder.ReadToLastRecord(dir)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	if program {
		if err := session.AgreeToProgram(ctx, a, before, is); err != nil {
			return nil, err
		}
	}
	var account *ceremony.Account
	switch {
	case wall == nil:
		account, err = engine.GoOnUnder(dir, is, a.Now, a.Random, e)
	default:
		if program {
			e.Version, e.Binary = is.Version, is.Binary
		}
		account, err = engine.ExplainClock(dir, is, a.Now, a.Random, e, *wall)
	}
	var other *engine.OtherProgram
	if errors.As(err, &other) {
		return nil, cli.Exit(cli.ExitPending, err)
	}
	return account, cli.Usage(err)
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
