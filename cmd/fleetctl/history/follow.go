package history

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/bundle/history/follow"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/metrics"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// followOptions are the command's own flags.
type followOptions struct {
	historyOptions
	cli.Following
	state   string
	first   bool
	silence time.Duration
}

type followedJSON struct {
	Format     string    `strict:"format"`
	Time       time.Time `strict:"time"`
	Namespace  string    `strict:"namespace"`
	Newest     uint64    `strict:"newest"`
	New        int64     `strict:"new"`
	Asked      int64     `strict:"asked_again"`
	Statements int64     `strict:"statements"`
	Alarms     int       `strict:"alarms"`
	Standing   int       `strict:"standing"`
}

func followCmd(a *cli.App) *cobra.Command {
	var o followOptions
	c := cli.Command("follow URL", "Watch a live auditor's namespace and raise an alarm when something is wrong",
		`Follow asks a live auditor again and again: it saves what is new, asks once more
for the newest epochs and a random few of those saved before (--again: for all),
and checks the whole history as fleetctl history does. It writes JSON lines: one
for each pass, one for each alarm. An alarm's kind is the check that failed
(readable, signature, window, contiguous, unique, time-order, one-digest,
operator-copy, artifact, previous, countersigned, log-inclusion, unchanged);
answer, where the auditor answers with what can't be that epoch's statement; or
silence. An alarm is raised once, and counted as standing while its cause is
there.

--state keeps every statement, the record of what was seen, alarms, and pairs of
statements that can't both be honest. The first pass, with --first, takes the
past as it is served; without --first a state that isn't there is an error.

Exit code 6 if an alarm was raised, 0 if none was. A week's watch: --for 168h.`,
		`  fleetctl history follow https://auditor.example --namespace acme.fleet_keys.v1 --policy acme.yaml --state seen --first --for 168h
  fleetctl history follow https://plexi.key-transparency.cloudflare.com --profile meta --key cloudflare=cloudflare.pub --state seen --silence 720h --on-alarm 'mail -s fleet ops'`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "state"); err != nil {
				return err
			}
			f, err := o.follower(a, args[0])
			if err != nil {
				return err
			}
			return o.follow(a, cmd.Context(), f)
		})
	f := c.Flags()
	o.pins(f)
	o.asking(f)
	f.StringVar(&o.state, "state", "", "`directory` of what was seen; made with --first")
	f.BoolVar(&o.first, "first", false, "this namespace was never followed with this state; said once")
	cli.Duration(f, &o.silence, "silence", 0, "an alarm when there was no new epoch for this `time`")
	o.Following.Flags(c)
	return c
}

func (o *followOptions) follower(a *cli.App, url string) (*follow.Follower, error) {
	pins, err := historyPins(a, &o.historyOptions)
	if err != nil {
		return nil, err
	}
	if pins.Only == "" {
		return nil, cli.Usagef("", "--namespace is missing: the policy has not exactly one")
	}
	if o.unpinned != "" && !o.firstUse {
		return nil, cli.Usagef("compare the keys with their owners and say so in the policy (confirmed:), or take them with --trust-on-first-use", "%s", o.unpinned)
	}
	c, err := fetch.New(url, pins.Only, "fleetctl/"+cli.Version, o.rate)
	if err != nil {
		return nil, cli.Usagef("", "%v", err)
	}
	c.Random = a.Random
	f, err := follow.New(c, follow.Options{State: o.state, First: o.first, Pins: *pins, Operator: o.operator, From: o.from, All: o.again, Silence: o.silence, Now: a.Now})
	return f, cli.Usage(err)
}

func (o *followOptions) follow(a *cli.App, ctx context.Context, f *follow.Follower) error {
	var newest, statements *metrics.Family
	measure := func(s *metrics.Set) {
		newest = s.Gauge("fleetctl_history_newest_epoch", "The newest epoch that was seen, 0 before the first.")
		statements = s.Gauge("fleetctl_history_statements", "Statements in the whole history, each counted once.")
	}
	return o.Run(a, ctx, "history", measure, func(ctx context.Context) (*cli.Pass, error) {
		seen, alarms, err := f.Pass(ctx)
		if err != nil {
			return nil, err
		}
		newest.Set(float64(seen.Newest))
		statements.Set(float64(seen.Statements))
		p := &cli.Pass{Standing: seen.Standing, Line: strict.EncodeLine(&followedJSON{"fleetctl history follow v1", a.Now().UTC().Truncate(time.Second), f.Namespace(),
			seen.Newest, seen.New, seen.Asked, seen.Statements, len(alarms), seen.Standing})}
		for _, x := range alarms {
			p.Alarms = append(p.Alarms, cli.Raised{Kind: x.Kind, Count: x.Count, Line: x.JSON()})
		}
		return p, nil
	})
}
