package log

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// EntryJudge lets package monitor ask package entries what entries mean.
type EntryJudge struct{ *entries.Judge }

func (j EntryJudge) Read(index uint64, leaf []byte) any { return j.Judge.Read(index, leaf) }

func (j EntryJudge) Take(index uint64, made any) []monitor.Finding {
	return findings(j.Judge.Take(index, made.(*entries.Entry)))
}

func (j EntryJudge) Overdue() []monitor.Finding { return findings(j.Judge.Overdue()) }

func findings(faults []entries.Fault) (list []monitor.Finding) {
	for _, f := range faults {
		list = append(list, monitor.Finding(f))
	}
	return list
}

// watchOptions are the flags of the commands that read whole logs.
type watchOptions struct {
	policy, state string
	fleets        []string
	evidence      time.Duration
	workers       int
	firstUse      bool
}

func (o *watchOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.policy, "policy", "", "verifier's policy `file`, with the log under log_policy:")
	f.StringSliceVar(&o.fleets, "fleet", nil, "a `fleet` that is known; once given, others are reported")
	cli.Duration(f, &o.evidence, "evidence-within", 0, "report epochs whose evidence isn't logged within this `time` of their being seen")
	f.IntVar(&o.workers, "workers", 0, "bundles read at once (default: one a core)")
}

// GCPercent is for reading whole logs: each entry's memory is soon free, and
// what stays is little. It costs some 20 MiB and saves a twelfth of the time.
const GCPercent = 300

func watch(a *cli.App, cmd *cobra.Command, ref string, o *watchOptions) (*evidence.Policy, *monitor.Source, func() monitor.Judge, error) {
	if err := cli.Required(cmd, "policy"); err != nil {
		return nil, nil, nil, err
	}
	debug.SetGCPercent(GCPercent)
	data, err := cli.ReadFile(o.policy)
	if err != nil {
		return nil, nil, nil, err
	}
	policy, err := evidence.ParsePolicy(o.policy, data)
	if err == nil && policy.Log == nil {
		err = strict.Errorf(o.policy, "pins no log").WithHint("add its policy under log_policy:")
	}
	if err != nil {
		return nil, nil, nil, cli.Usage(err)
	}
	src, err := monitor.Open(ref, nil)
	if err != nil {
		return nil, nil, nil, cli.Usage(cli.Missing(err))
	}
	judge := func() monitor.Judge {
		e := entries.New(policy, a.Now)
		e.Evidence, e.Fleets = o.evidence, o.fleets
		return EntryJudge{e}
	}
	return policy, src, judge, nil
}

type auditJSON struct {
	Format    string        `strict:"format"`
	Log       string        `strict:"log"`
	Size      uint64        `strict:"size"`
	Root      [32]byte      `strict:"root,hex"`
	Resumed   uint64        `strict:"resumed"`
	Entries   uint64        `strict:"entries"`
	Tiles     uint64        `strict:"tiles"`
	Bytes     uint64        `strict:"bytes"`
	Witnesses []witnessSeen `strict:"witnesses"`
	Missing   []string      `strict:"missing"`
	Quorum    bool          `strict:"quorum"`
	Found     uint64        `strict:"found"`
	Findings  []findingJSON `strict:"findings"`
	Unpinned  []string      `strict:"unpinned"`
	Verified  bool          `strict:"verified"`
}

type witnessSeen struct {
	Name string    `strict:"name"`
	Time time.Time `strict:"time"`
}

type findingJSON struct {
	Kind  string `strict:"kind"`
	Index uint64 `strict:"index"`
	Text  string `strict:"text"`
}

func auditCmd(a *cli.App) *cobra.Command {
	var o watchOptions
	c := cli.Command("audit LOG|URL", "Read a whole log from nothing: every tile, every entry, every bundle by policy",
		`Audit takes nothing on trust but the policy's keys. It reads every entry of a
log, in a directory or over HTTP, computes the whole tree again, compares each
tile and the root that was signed, and judges each entry: bundles by the policy
and as successors of each other, evidence leaves by the bundles before them.

With --state an interrupted audit goes on where it was. Exit code 0: the tree is
what was signed, witnessed as the policy's log_policy demands, and nothing was
found in it, by keys that the policy says were confirmed; 1 otherwise.`,
		`  fleetctl log audit log --policy acme.yaml
  fleetctl log audit https://log.acme.example/fleet --policy acme.yaml --state audit.json`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			policy, src, judge, err := watch(a, cmd, args[0], &o)
			if err != nil {
				return err
			}
			p, begun := a.UI.Progress("audit  "+args[0]), false
			progress := func(done, total uint64) {
				if !begun {
					p.From(int64(done))
					begun = true
				}
				p.Set(int64(done), int64(total))
			}
			r, err := monitor.Audit(cmd.Context(), src, policy.Log, judge(), monitor.AuditOptions{
				Workers: o.workers, State: o.state,
				Progress: progress,
			})
			p.Stop()
			var damage *monitor.Broken
			if errors.As(err, &damage) {
				return cli.Wrong(strict.Errorf(args[0], "%v", err).WithHint("What is served is not what the log signed. Keep it, with the checkpoint, and ask the log's operator."))
			}
			var refused *strict.Error
			if errors.As(err, &refused) {
				return cli.Wrong(err)
			}
			if err != nil {
				return cli.Missing(err)
			}
			return auditResult(a, args[0], policy, r, o.firstUse)
		})
	o.flags(c)
	a.Reports(c)
	c.Flags().StringVar(&o.state, "state", "", "`file` to go on from, written while it works")
	c.Flags().BoolVar(&o.firstUse, "trust-on-first-use", false, "take keys that nobody compared with their owners, those without confirmed: in the policy")
	return c
}

func auditResult(a *cli.App, ref string, policy *evidence.Policy, r *monitor.Report, firstUse bool) error {
	j := &auditJSON{Format: "fleetctl audit v1", Log: r.Origin, Size: r.Size, Root: r.Root, Resumed: r.Resumed, Entries: r.Entries, Tiles: r.Tiles, Bytes: r.Bytes,
		Missing: r.Missing, Quorum: r.Quorum, Found: r.Found, Unpinned: policy.Unpinned()}
	j.Verified = r.Verified(firstUse || len(j.Unpinned) == 0)
	for _, w := range r.Witnesses {
		j.Witnesses = append(j.Witnesses, witnessSeen{w.Name, w.Time})
	}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, findingJSON(f))
	}
	rows := [][2]string{
		{"log", r.Origin},
		{"policy", fmt.Sprintf("%s · %s · %s", policy.File, words.Short(policy.Digest[:]), policy.TellPinned())},
		{"entries", fmt.Sprintf("%s of %s, %s, in %s", words.Number(int64(r.Entries)), words.Number(int64(r.Size)), words.Size(int64(r.Bytes)), strict.FormatDuration(r.Took.Round(time.Millisecond)))},
		{"tiles", words.Number(int64(r.Tiles)) + " computed again"},
		{"root", fmt.Sprintf("%x", r.Root)},
	}
	if r.Resumed > 0 {
		rows = append(rows, [2]string{"resumed", "after " + words.Number(int64(r.Resumed)) + " entries"})
	}
	switch {
	case r.Quorum:
		rows = append(rows, [2]string{"witnesses", fmt.Sprintf("%d of %d, newest quorum %s", len(r.Witnesses), len(r.Witnesses)+len(r.Missing), strict.FormatTime(r.NewestQuorumTime))})
	case r.Demanded:
		rows = append(rows, [2]string{"witnesses", fmt.Sprintf("%d of %d, which is no quorum", len(r.Witnesses), len(r.Witnesses)+len(r.Missing))})
	default:
		rows = append(rows, [2]string{"witnesses", "the policy names no quorum"})
	}
	var why []string
	if r.Size == 0 {
		why = append(why, "the log has no entry")
	}
	if r.Demanded && !r.Quorum {
		why = append(why, "its checkpoint is not witnessed")
	}
	if r.Found > 0 {
		why = append(why, words.Count(int64(r.Found), "thing is wrong", "things are wrong"))
	}
	text := "every tile is as signed, every entry as the policy wants it"
	if keys := policy.TellUnpinned(); keys != "" && firstUse {
		text = "on first use only: " + text + "; " + keys
	} else if keys != "" {
		why = append(why, keys)
	}
	if len(why) > 0 {
		text = strings.Join(why, "; ")
	}
	var lines []ui.ClaimLine
	for i, f := range r.Findings {
		if i == 20 {
			lines = append(lines, ui.ClaimLine{Name: "…", Detail: fmt.Sprintf("and %d more: --format json lists the first %d", r.Found-20, len(r.Findings))})
			break
		}
		lines = append(lines, ui.ClaimLine{Name: f.Kind, Detail: f.Text, Wrong: true})
	}
	out := a.UI.Fields(rows) + "\n" + a.UI.Verdict(j.Verified, text)
	if len(lines) > 0 {
		out += "\n" + a.UI.Claims(lines)
	}
	err := a.Tell(cli.Judged{JSON: func() []byte { return strict.EncodeJSON(j) }, Text: func() string { return out }, Run: func() *report.Run {
		return auditChecks(ref, policy, j, r, firstUse, a.Now(), text)
	}})
	if err == nil && !j.Verified {
		err = cli.Wrong(cli.ErrQuiet)
	}
	return err
}
