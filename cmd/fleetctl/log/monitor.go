package log

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/metrics"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type passJSON struct {
	Format   string    `strict:"format"`
	Time     time.Time `strict:"time"`
	Log      string    `strict:"log"`
	Size     uint64    `strict:"size"`
	New      uint64    `strict:"new"`
	Ours     *oursJSON `strict:"ours,optional"` // of a Rekor log
	Quorum   bool      `strict:"quorum"`
	Alarms   int       `strict:"alarms"`
	Standing int       `strict:"standing"`
}

// oursJSON is what there is of ours in a log that is many people's.
type oursJSON struct {
	Entries uint64 `strict:"entries"` // by the policy's submitters
	Bundles int    `strict:"bundles"` // that are known
}

// monitorOptions are the command's own flags.
type monitorOptions struct {
	watchOptions
	rekorWatch
	cli.Following
	silence            time.Duration
	first, unwitnessed bool
}

// following is a monitor and what it needs between two passes.
type following struct {
	*monitor.Monitor
	ready func() error // before a pass
	ours  func() *oursJSON
}

func monitorCmd(a *cli.App) *cobra.Command {
	var o monitorOptions
	c := cli.Command("monitor LOG|URL", "Follow a log and raise an alarm when something is wrong",
		`Monitor looks at a log again and again: that its checkpoint continues the last
one seen, that every tile is what its entries give, and what every new entry
says. It writes JSON lines: one for each pass, one for each alarm (kinds:
split-view, went-back, damaged, checkpoint, unwitnessed, silence, rotated;
unreadable, unknown-namespace, unknown-fleet, signatures, window, equivocation,
repeated, gap, predecessor, retired, two-endings, no-evidence, unknown-bundle,
submitter). An alarm is raised once and counted as standing while its cause is
there. Alarms, what was seen, and both checkpoints of a split view stay in
--state; fleetctl verify judges such a pair.

The first pass, with --first, takes the log's start on trust. Without --first a
state that isn't there is an error: it was lost, or its path is mistyped.

Of one kind a pass raises 20 alarms; all others are one, with their count.

With --rekor-version it follows a Rekor log that the policy pins: entries with
a pinned submitter's key are judged, all others are other people's. Rekor has
digests only, so --bundles says which bundles are known; an entry of another
raises unknown-bundle until it is known.

Exit code 6 if an alarm was raised, 0 if none was. --on-alarm runs a shell
command for each, with its JSON on standard input.`,
		`  fleetctl log monitor https://log.acme.example/fleet --policy acme.yaml --state seen --first
  fleetctl log monitor log --policy acme.yaml --state seen --once --silence 720h --evidence-within 168h --on-alarm 'mail -s fleet ops'
  fleetctl log monitor https://rekor.example --rekor-version 1 --bundles bundles --policy acme.yaml --state seen-rekor --first`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "policy", "state"); err != nil {
				return err
			}
			follow := followLog
			if o.given(cmd) {
				follow = followRekor
			}
			m, err := follow(a, cmd, args[0], &o)
			if err != nil {
				return err
			}
			return m.run(a, cmd.Context(), &o)
		})
	o.watchOptions.flags(c)
	o.rekorWatch.flags(c)
	f := c.Flags()
	f.StringVar(&o.state, "state", "", "`directory` of what was seen; made with --first")
	f.BoolVar(&o.first, "first", false, "this log was never followed with this state; said once")
	cli.Duration(f, &o.silence, "silence", 0, "an alarm when the log has not grown for this `time`")
	f.BoolVar(&o.unwitnessed, "witnessed", false, "an alarm when the checkpoint lacks the policy's quorum")
	o.Following.Flags(c)
	return c
}

func (o *monitorOptions) options(a *cli.App) monitor.Options {
	return monitor.Options{State: o.state, First: o.first, Silence: o.silence, Unwitnessed: o.unwitnessed, Workers: o.workers, Now: a.Now}
}

func followLog(a *cli.App, cmd *cobra.Command, ref string, o *monitorOptions) (*following, error) {
	policy, src, judge, err := watch(a, cmd, ref, &o.watchOptions)
	if err != nil {
		return nil, err
	}
	m, err := monitor.New(src, policy.Log, judge, o.options(a))
	if err != nil {
		return nil, cli.Usage(err)
	}
	return &following{m, func() error { return nil }, func() *oursJSON { return nil }}, nil
}

func (m *following) run(a *cli.App, ctx context.Context, o *monitorOptions) error {
	var entries, quorum, witnesses *metrics.Family
	measure := func(s *metrics.Set) {
		entries = s.Gauge("fleetctl_monitor_log_entries", "Entries in the newest tree that was seen.")
		quorum = s.Gauge("fleetctl_monitor_quorum", "Whether the policy's quorum has cosigned the newest checkpoint.")
		witnesses = s.Gauge("fleetctl_monitor_witnesses", "Witnesses of the policy that have cosigned the newest checkpoint.")
	}
	return o.Run(a, ctx, "monitor", measure, func(ctx context.Context) (*cli.Pass, error) {
		if err := m.ready(); err != nil {
			return nil, err
		}
		seen, alarms, err := m.Pass(ctx)
		if err != nil {
			return nil, err
		}
		entries.Set(float64(seen.Size))
		witnesses.Set(float64(len(seen.Witnesses)))
		quorum.Set(0)
		if seen.Quorum {
			quorum.Set(1)
		}
		p := &cli.Pass{Standing: seen.Standing, Line: strict.EncodeLine(&passJSON{Format: "fleetctl monitor v1", Time: a.Now().UTC(), Log: seen.Log, Size: seen.Size,
			New: seen.Entries, Ours: m.ours(), Quorum: seen.Quorum, Alarms: len(alarms), Standing: seen.Standing})}
		for _, x := range alarms {
			p.Alarms = append(p.Alarms, cli.Raised{Kind: x.Kind, Count: x.Count, Line: x.JSON()})
		}
		return p, nil
	})
}
