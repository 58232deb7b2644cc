package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

func ceremonyResumeCmd(a *cli.App) *cobra.Command {
	var site string
	var keys []string
	var s standIn
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
			c, err := config(a, args[0], site, keys)
			if err != nil {
				return err
			}
			if c.Participants, err = roomFor(a, before.Plan.Mode, &s); err != nil {
				return err
			}
			account, err := engine.Resume(cmd.Context(), c)
			if err != nil {
				return s.over(pausing(args[0], err))
			}
			return s.over(ceremonyResult(a, args[0], account))
		})
	c.Flags().StringVar(&site, "site", "", "the site `file`: where the plan's HSMs are")
	signWithFlag(c, &keys)
	s.flags(c)
	return c
}

func signWithFlag(c *cobra.Command, keys *[]string) {
	c.Flags().StringArrayVar(keys, "sign-with", nil, "in a rehearsal: an officer's OpenSSH `key` to approve with, here and now")
}

// config is what running, resuming and aborting a ceremony share.
func config(a *cli.App, dir, site string, keys []string) (engine.Config, error) {
	binary, err := ownDigest()
	return engine.Config{
		Dir: dir, Tokens: newBench(a), Observer: &screen{a: a, binary: binary}, Approve: approver(a, keys),
		Now: a.Now, Random: a.Random, Version: cli.Version, Binary: binary,
		Site: func(p *ceremony.Plan) (*engine.Site, error) { return cli.ReadSite(site, p) },
	}, err
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
			return withJournal(a, args[0], func(j *engine.Journal) error {
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
			return withJournal(a, args[0], func(j *engine.Journal) error {
				if !j.Account().Adjourned {
					return cli.Usage(strict.Errorf(args[0], "the ceremony is not adjourned"))
				}
				var waits *folder.Pending
				err := j.Reconvene(cmd.Context(), &ceremony.Reconvene{Seals: list}, approver(a, keys))
				switch {
				case errors.As(err, &waits):
					return pausing(args[0], err)
				case err != nil:
					return cli.Usage(err)
				}
				return ceremonyResult(a, args[0], j.Account())
			})
		})
	c.Flags().StringArrayVar(&seals, "seal", nil, "`what=number` of a seal as it was found")
	signWithFlag(c, &keys)
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
				if err := ceremonyThere(args[0]); err != nil {
					return err
				}
				account, err := engine.ExplainClock(args[0], a.Now, a.Random, e, *wall)
				if err != nil {
					return cli.Usage(err)
				}
				return ceremonyResult(a, args[0], account)
			}
			return withJournal(a, args[0], func(j *engine.Journal) error {
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

// pausing makes an error of a ceremony that waits, for people or to be
// resumed, one that says how it goes on.
func pausing(dir string, err error) error {
	var p *folder.Pending
	if errors.As(err, &p) {
		how := script.Sign(words.ShellWord(dir), p.What)
		if p.What == "the plan" {
			how = "fleetctl plan approve PLAN --key KEY"
		}
		if len(p.Unheard) > 0 {
			how += "\nor, of who gives none, officers accept\nfleetctl ceremony exception " + words.ShellWord(dir) + " --absent NAME --expected … --happened … --decided …"
		}
		var w *folder.Missing
		if errors.As(err, &w) && w.Exception > 0 {
			return cli.Exit(cli.ExitPending, strict.Errorf(dir, "%v", err).WithHint("without that the evidence will not verify; each signs with\n%s\nthen run this command again", how))
		}
		return cli.Exit(cli.ExitPending, strict.Errorf(dir, "%v", p).WithHint("each signs with\n%s\nthen run this command again", how))
	}
	var clock *engine.ClockFault
	if errors.As(err, &clock) {
		return err // it says how to go on
	}
	var unfit *ui.AnswerError
	if cli.ExitCode(err) == cli.ExitUsage && !errors.As(err, &unfit) {
		return err // nothing was begun that could pause
	}
	account, rerr := folder.ReadToLastRecord(dir)
	if rerr != nil || account.Open == nil || account.Ended() {
		return err
	}
	where := strict.Errorf(dir, "%s; the ceremony stands after record %d", strings.TrimPrefix(cli.InWords(err), dir+": "), account.N)
	head := "its head: " + words.Head(account.Head[:]) + " …\n"
	code := cli.ExitCode(err)
	switch {
	case errors.Is(err, ui.ErrException):
		code = cli.ExitPending
		where.WithHint(head+"record it, have it accepted, and go on:\nfleetctl ceremony exception %s --expected … --happened … --decided …\nfleetctl ceremony sign %s --approve exception --key KEY", dir, dir)
	case !account.Opened():
		where.WithHint("%s", head+"no HSM was unlocked yet: run the same command again, it goes on here")
	default:
		where.WithHint(head+pinFirst(err)+lost(account)+"Go on with\nfleetctl ceremony sign %s --approve resume --key KEY\nfleetctl ceremony resume %s --site SITE\nor end it with\nfleetctl ceremony abort %s --site SITE --reason …", dir, dir, dir)
	}
	return cli.Exit(code, where)
}

// lost is the line that says what resuming costs: a key that was not confirmed
// is never gone on with.
func lost(account *ceremony.Account) string {
	k := account.OpenIntent()
	if k == nil {
		return "nothing is lost. "
	}
	return fmt.Sprintf("the key of %s %s that was not confirmed will be destroyed and made anew;\nnothing else is lost. ", k.HSM, k.Role)
}

// pinFirst is the line that says what a token's answer about a PIN means.
func pinFirst(err error) string {
	if hint := cli.AboutPIN(err); hint != "" {
		return hint + "\n"
	}
	return ""
}
