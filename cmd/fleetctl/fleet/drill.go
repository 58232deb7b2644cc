//go:build cgo && unix

package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/drill"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

type drillOptions struct {
	bundleOptions
	site, out  string
	logins     int
	unanchored bool
	stages     []string
	tpmAnchor  string
	unrecorded bool
	next       nextOptions
}

func drillCmd(a *cli.App) *cobra.Command {
	o := &drillOptions{}
	c := cli.Command("drill CEREMONY", "Run a reference fleet on a ceremony's keys, and try to break it",
		`Drill runs one node for each HSM of a ceremony on this machine, each a process
of its own as fleet serve runs it, with a proxy on every line between them and
to the devices, and tries to break what they serve, in seven stages: sessions,
logins, faults, lock, rollback, succession, passkey. Nodes are killed as a power
cut would, sites are cut off, the last guess is made. Everything that devices
saw is held against a model of a guess counter.

It is a reference, not a vault: what it shows is that these keys, this bundle
and these devices work together, and that the count of guesses holds. What could
not be tried is listed as not run, with the reason.

Stage succession takes a second epoch, which a rehearsal alone has: --next is
its ceremony, of HSMs of the same names, --next-site where those are, and
--retirement the bundle of the notice that retires the fleet after it. The nodes
move to it on a log of their own, without anchors.

The report is OUT/drill.json; the nodes' logs are in OUT/logs. Where the plan
asks for a drill the report goes on the ceremony's record.

Exit codes: 0 the drill passed; 1 it failed; 4 it could not be run.`,
		"  fleetctl fleet drill ceremony --site site.yaml --policy device.json --out drill",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error { return o.run(a, cmd, args[0]) })
	f := c.Flags()
	o.policy.Flags(f)
	f.StringVar(&o.roles.Session, "role", "", "the `role` of the keys that open sessions (default: the plan's, or the only one that signs in TLS)")
	cli.RolePQ(f, &o.roles.PostQuantum, "")
	f.StringVar(&o.roles.Sealing, "sealing", "", "the `role` of the keys to which secrets are sealed (default: the plan's, or the only one that agrees)")
	f.StringVar(&o.site, "site", "", "the ceremony's site `file`: where its HSMs are")
	f.StringVar(&o.out, "out", "", "a new `folder` for the report and all that the nodes leave")
	f.IntVar(&o.logins, "logins", 300, "how many logins there are while leaders are killed")
	f.BoolVar(&o.unanchored, "rollback-unanchored", false, "put disks back from copies on HSMs that keep no anchor too, where the drill has to fail")
	f.BoolVar(&o.unrecorded, "unrecorded", false, "keep the report off the ceremony's record, which may be closed")
	f.StringVar(&o.tpmAnchor, "tpm-anchor", "tpm:0x01800f1e", "the `place` of the anchor in the TPM of an HSM whose keys are in one")
	o.next.flags(f)
	f.StringSliceVar(&o.stages, "stages", nil, "only these `stages`, by their names (default: all that can be run)")
	return c
}

type drillJSON struct {
	Notice   string       `strict:"notice"`
	Report   string       `strict:"report"`
	SHA256   [32]byte     `strict:"sha256,hex"`
	Outcome  string       `strict:"outcome"`
	Recorded bool         `strict:"recorded"`
	Stages   []drillStage `strict:"stages"`
	Faults   []string     `strict:"faults"`
	// Figures are the report's.
	Figures []report.Figure `strict:"figures"`
}

type drillStage struct {
	Name    string `strict:"name"`
	Outcome string `strict:"outcome"`
	Tests   int    `strict:"tests"`
	Reason  string `strict:"reason,optional"`
}

// Format is what the JSON says that it is.
func (*drillJSON) Format() string { return "fleetctl fleet drill result v1" }

func (o *drillOptions) run(a *cli.App, cmd *cobra.Command, dir string) error {
	if err := cli.Required(cmd, "policy", "site", "out"); err != nil {
		return err
	}
	for _, s := range o.stages {
		if !slices.Contains(ceremony.DrillStages(), s) {
			return cli.Usagef("", "--stages has %q; there are %s", strict.Clip(s), strings.Join(ceremony.DrillStages(), ", "))
		}
	}
	account, err := folder.Read(dir)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	if account.Plan.Drill != nil {
		o.roles.Session, o.roles.Sealing = account.Plan.Drill.Session, account.Plan.Drill.Agreement
		if err := account.Expects(ceremony.KindDrill); err != nil && !o.unrecorded {
			return cli.Usage(err)
		}
	}
	record := account.Plan.Drill != nil && !o.unrecorded
	c, err := o.config(a, cmd, dir, account)
	if err != nil {
		return err
	}
	a.UI.Say(a.UI.Talk.Header("drill of "+account.Plan.Fleet, strings.ToUpper(account.Plan.Mode)), a.UI.Talk.Line("A reference, not a vault: the nodes' secrets are opened into this computer's memory."))
	r, err := drill.Run(cmd.Context(), c)
	if err != nil {
		// Where no node was made, as after a wrong PIN, the command can be given again.
		if _, made := durable.Stat(filepath.Join(c.Out, "nodes")); errors.Is(made, fs.ErrNotExist) {
			err = errors.Join(err, durable.Remove(c.PolicyFile), durable.Remove(c.Out))
		}
		if errors.Is(err, context.Canceled) {
			return cli.Exit(cli.ExitPending, strict.Errorf("", "the drill was interrupted; its nodes are ended, and nothing is recorded").WithHint("to run it again name another folder in --out"))
		}
		return cli.Exit(cli.ExitFailed, err)
	}
	data, err := r.Encode()
	if err != nil {
		return err
	}
	file := filepath.Join(o.out, "drill.json")
	if err := cli.WriteNew(file, data); err != nil {
		return err
	}
	if record {
		if err := session.WithFolder(a, dir, func(j *engine.Journal) error {
			_, _, err := j.Drilled(data)
			return err
		}, ceremony.ActDrill); err != nil {
			return err
		}
	}
	var demands *ceremony.Plan // unless it is recorded, the plan demands nothing of it
	if record {
		demands = account.Plan
	}
	return drillTold(a, r, demands, file, data)
}

// judged is how a drill ended, as its record has it, and what is wrong: a drill that lacks
// a stage that the plan demands has failed for the record, whatever its report says.
func judged(r *report.Report, demands *ceremony.Plan) (outcome string, faults []string) {
	faults = append([]string{}, r.Failures()...)
	if demands != nil {
		faults = append(faults, r.Lacks(demands)...)
	}
	if len(faults) > 0 {
		return report.Failed, faults
	}
	return r.Outcome, faults
}

// config is what is drilled: the ceremony's own files, its HSMs where the site file says
// that they are, and a device's policy, which every node is given as a file.
func (o *drillOptions) config(a *cli.App, cmd *cobra.Command, dir string, account *ceremony.Account) (*drill.Config, error) {
	file := filepath.Join(dir, ceremony.BundleFile)
	ans, err := o.read(a, cmd, file)
	if err != nil {
		return nil, err
	}
	s, err := cli.ReadSite(o.site, account.Plan)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := filepath.Abs(o.out)
	if err != nil {
		return nil, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	next, err := o.next.read(a, account)
	if err != nil {
		return nil, err
	}
	policy := filepath.Join(out, "device.json")
	c := &drill.Config{
		Account: account, BundleFile: file, ProofFile: file + ".tlog-proof", Bundle: ans.bundle, Proof: ans.proof, Policy: ans.policy, PolicyFile: policy,
		Role: o.roles.Session, PostQuantum: o.roles.PostQuantum, Sealing: o.roles.Sealing, Program: program, Version: cli.Version, Out: out,
		Screen: &drillScreen{a: a}, Now: a.Now, Logins: o.logins, Unanchored: o.unanchored, Stages: o.stages, Next: next,
	}
	for _, n := range drilledNodes(s, account.Plan, site.InToken) {
		if n.TPM != nil {
			n.Anchor = o.tpmAnchor
		}
		if _, err := site.ParsePlace(n.Anchor); err != nil {
			return nil, cli.Usage(err)
		}
		c.Nodes = append(c.Nodes, n)
	}
	if err := c.Follows(); err != nil {
		return nil, cli.Usage(err)
	}
	if err := o.next.ask(next); err != nil {
		return nil, err
	}
	hosts := &drillHosts{a: a, nodes: c.Nodes, keys: ans.keys, pins: map[string][]byte{}}
	c.Open = hosts.open
	if err := durable.Mkdir(out, 0o700); err != nil {
		return nil, cli.Exists(err, o.out)
	}
	return c, cli.WriteNew(policy, ans.policy.Raw())
}

// drillScreen tells of a drill as it goes on, on standard error.
type drillScreen struct {
	a *cli.App
	p *ui.Progress
}

var _ drill.Screen = (*drillScreen)(nil)

// Stage begins a stage.
func (s *drillScreen) Stage(n, of int, name string) {
	s.a.UI.Say("\n", s.a.UI.Talk.Line(fmt.Sprintf("stage %d of %d · %s", n, of, name)))
}

// Did says what was tried.
func (s *drillScreen) Did(what string, err error) {
	if s.p != nil {
		s.p.Stop()
		s.p = nil
	}
	if err != nil {
		s.a.UI.Say(s.a.UI.Talk.Step(ui.Failed, what+": "+err.Error(), ""))
		return
	}
	s.a.UI.Say(s.a.UI.Talk.Step(ui.Done, what, ""))
}

// NotRun says why something was not tried.
func (s *drillScreen) NotRun(why string) {
	s.a.UI.Say(s.a.UI.Talk.Step(ui.Noted, "not run: "+why, ""))
}

// Doing shows how far something long is.
func (s *drillScreen) Doing(what string, done, total int) {
	if s.p == nil {
		s.p = s.a.UI.Progress(what)
	}
	s.p.Set(int64(done), int64(total))
}

func drillTold(a *cli.App, r *report.Report, demands *ceremony.Plan, file string, data []byte) error {
	j := &drillJSON{Notice: r.Notice, Report: file, SHA256: sha256.Sum256(data), Recorded: demands != nil, Stages: []drillStage{}, Figures: r.Figures}
	j.Outcome, j.Faults = judged(r, demands)
	rows := [][]string{}
	var why bytes.Buffer
	var left []string
	for _, s := range r.Stages {
		n := 0
		for _, t := range r.Tests {
			if t.Stage == s.Name {
				n += t.Runs
			}
		}
		j.Stages = append(j.Stages, drillStage{s.Name, s.Outcome, n, s.Reason})
		rows = append(rows, []string{s.Name, strings.ReplaceAll(s.Outcome, "-", " "), fmt.Sprint(n)})
		switch {
		case s.Outcome == report.NotRun && s.Reason == drill.LeftOut:
			left = append(left, s.Name)
		case s.Outcome == report.NotRun:
			why.WriteString(a.UI.Line(s.Name + " was not run: " + s.Reason))
		}
	}
	if len(left) > 0 {
		why.WriteString(a.UI.Line("left out by --stages: " + strings.Join(left, ", ")))
	}
	p := a.UI.Page
	for _, f := range j.Faults {
		why.WriteString(p.Line(f))
	}
	measured := [][]string{}
	for _, f := range r.Figures {
		if strings.HasPrefix(f.Name, report.StageTook("")) {
			continue
		}
		what, amount := f.Words()
		measured = append(measured, []string{what, amount, words.Number(int64(f.Samples))})
	}
	c := r.Counts
	fields := [][2]string{
		{"guesses", fmt.Sprintf("%s sent, %s answered, %s unanswered; %s keys came back", words.Number(int64(c.Attempts)), words.Number(int64(c.Acknowledged)), words.Number(int64(c.Ambiguous)), words.Number(int64(c.Logins)))},
		{"report", file}, {"sha-256", fmt.Sprintf("%x", j.SHA256)}, {"notice", r.Notice},
	}
	for _, h := range r.Histories {
		fields = append([][2]string{{"history", fmt.Sprintf("%s operations, %s", words.Number(int64(h.Operations)), h.Result)}}, fields...)
	}
	passed := j.Outcome == report.Passed
	verdict := p.Style(ui.Proven, "THE DRILL PASSED")
	if !passed {
		verdict = p.Style(ui.Wrong, "THE DRILL FAILED")
	}
	if err := a.Emit(j, "\n", p.Table([]string{"stage", "outcome", "tries"}, rows, ui.Left, ui.Left, ui.Right), "\n", why.String(), "\n", p.Table([]string{"measured on this computer", "", "of"}, measured, ui.Left, ui.Right, ui.Right), "\n", p.Fields(fields), "\n", verdict, "\n"); err != nil {
		return err
	}
	if !passed {
		return cli.Exit(cli.ExitWrong, cli.ErrQuiet)
	}
	return nil
}
