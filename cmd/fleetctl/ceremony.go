package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

type ceremonyJSON struct {
	Dir      string   `strict:"dir"`
	Ceremony string   `strict:"ceremony"`
	Mode     string   `strict:"mode"`
	Fleet    string   `strict:"fleet"`
	Epoch    uint64   `strict:"epoch"`
	Records  int      `strict:"records"`
	Head     [32]byte `strict:"head,hex"`
	Step     int      `strict:"step"`
	Steps    int      `strict:"steps"`
	Next     string   `strict:"next,optional"`
	State    string   `strict:"state"`              // running, aborted, closed
	SignedBy []string `strict:"signed_by,optional"` // of an abort

	Adjourned bool       `strict:"adjourned,optional"`
	Waits     []waitJSON `strict:"waits,optional"` // whose signatures are missing
}

func ceremonyRunCmd(a *cli.App) *cobra.Command {
	var o runOptions
	c := cli.Command("run PLAN", "Run the ceremony of a plan: generate and check every key",
		`Run takes every HSM in, unlocks it once officers have approved that, generates
its keys inside and checks each: attributes read back, attempts to take it out,
proof of possession, found again by a new process. Every act is on a transcript
before and after it happens. A check that fails destroys every key and ends the
ceremony, on the record; anything else that fails leaves it to be resumed.

Production takes a policy that pins the people, and people at a terminal.`,
		`  fleetctl ceremony run plan.yaml --site site.yaml --dir ceremony --policy room.yaml
  fleetctl ceremony run rehearsal.yaml --site site.yaml --dir rehearsal --unattended --sign-with olga --sign-with omar`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site", "dir"); err != nil {
				return err
			}
			p, err := cli.ReadPlan(args[0])
			if err != nil {
				return err
			}
			site, err := cli.ReadSite(o.site, p)
			if err != nil {
				return err
			}
			if err := modulesThere(site); err != nil {
				return err
			}
			if o.approvals == "" {
				o.approvals = filepath.Dir(args[0])
			}
			account, err := runCeremony(a, cmd, p, &o)
			if err != nil {
				return o.over(pausing(o.dir, err))
			}
			return o.over(ceremonyResult(a, o.dir, account))
		})
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the site `file`: where the plan's HSMs are")
	f.StringVar(&o.dir, "dir", "", "the ceremony's `folder`; new, or one that waits for approvals")
	f.StringVar(&o.policy, "policy", "", "`file` that pins the people, third parties and operator; the plan must agree with it")
	f.StringVar(&o.approvals, "approvals", "", "`folder` that has plan-approvals in it (default: the plan's)")
	signWithFlag(c, &o.keys)
	o.standIn.flags(c)
	return c
}

type runOptions struct {
	site, dir, policy, approvals string
	keys                         []string
	standIn
}

func runCeremony(a *cli.App, cmd *cobra.Command, p *ceremony.Plan, o *runOptions) (*ceremony.Account, error) {
	if err := pinnedPlan(p, o.policy); err != nil {
		return nil, err
	}
	c, err := config(a, o.dir, o.site, o.keys)
	if err != nil {
		return nil, err
	}
	if c.Participants, err = roomFor(a, p.Mode, &o.standIn); err != nil {
		return nil, err
	}
	if c.PlanApprovals, err = folder.ReadSignings(o.approvals, ceremony.PlanApprovalsDir); err != nil {
		return nil, cli.Wrong(err)
	}
	c.Plan = p
	return engine.Run(cmd.Context(), c)
}

// pinnedPlan demands that a policy pins whom the plan names: a plan never
// authorises itself.
func pinnedPlan(p *ceremony.Plan, file string) error {
	if file == "" {
		if p.Mode == ceremony.Production {
			return cli.Usagef("pin the officers in a policy of your own and name it with --policy", "a production plan can't say itself who may approve it")
		}
		return nil
	}
	data, err := cli.ReadFile(file)
	if err != nil {
		return err
	}
	policy, err := evidence.ParsePolicy(file, data)
	if err != nil {
		return cli.Usage(err)
	}
	return cli.Usage(policy.CheckPlan(p))
}

// ownDigest is the SHA-256 of the running program's file.
func ownDigest() (sum [32]byte, err error) {
	path, err := os.Executable()
	if err != nil {
		return sum, err
	}
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [32]byte(h.Sum(nil)), err
}

// screen shows a running ceremony: append-only, a header before each step.
type screen struct {
	a      *cli.App
	binary [32]byte // SHA-256 of this program, for the opening
	last   string   // the last record, in words
}

// newScreen shows a part of a ceremony that opens nothing.
func newScreen(a *cli.App) *screen { return &screen{a: a} }

func (s *screen) Step(plan *ceremony.Plan, n, of int, step ceremony.Step) {
	p := s.a.UI.Talk
	says := script.InstructionsFor(plan, step)
	where := fmt.Sprintf("step %d of %d · ", n, of)
	if i := slices.IndexFunc(plan.HSMs, func(h ceremony.PlanHSM) bool { return h.Name == step.HSM }); i >= 0 {
		where += fmt.Sprintf("HSM %d of %d · ", i+1, len(plan.HSMs))
	}
	if s.last != "" {
		s.a.UI.Say("\n", p.Footer(s.last))
	}
	s.a.Header = p.Header(plan.Fleet+" · "+strings.TrimSuffix(where, " · ")+" · "+string(step.Act), strings.ToUpper(plan.Mode))
	s.a.Question = ""
	s.a.UI.Say("\n", p.Header(plan.Fleet, strings.ToUpper(plan.Mode)),
		p.Line(fmt.Sprintf("%s%s · about %d min", where, step.Act, says.Minutes)))
	if h := plan.HSM(step.HSM); h != nil {
		text := fmt.Sprintf("%s · site %s · serial %s", h.Name, h.Site, h.Serial)
		if step.Role != "" {
			text += " · " + step.Role
		}
		s.a.UI.Say(p.Line(text))
	}
	s.a.UI.Say("\n")
	for _, part := range says.Say {
		if !strings.HasPrefix(part.Text, "(") { // what is read from the screen follows by itself
			s.a.UI.Say(p.Line(fmt.Sprintf("%s, aloud: \"%s\"", capital(part.Who), part.Text)))
		}
	}
	if step.Act == ceremony.ActOpen && s.binary != [32]byte{} {
		s.a.UI.Say("\n", p.Line("This program, SHA-256. Auditor: is it that of your own copy?"), p.Hex(s.binary[:]), "\n")
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (s *screen) Done(text string, r *ceremony.Record) {
	s.a.UI.Say(s.a.UI.Talk.Step(ui.Done, text, fmt.Sprintf("record %d", r.N)))
	s.last = recordWords(r.N, r.Hash())
}

// recordWords name the last record as people compare it with their sheets.
func recordWords(n int, head [32]byte) string {
	return fmt.Sprintf("record %d · %s", n, words.Head(head[:]))
}

func ceremonyResult(a *cli.App, dir string, c *ceremony.Account) error {
	out := &ceremonyJSON{Dir: dir, Records: c.N, Head: c.Head, Step: c.StepNumber(), Steps: len(c.Steps), State: "running", Mode: c.Plan.Mode, Fleet: c.Plan.Fleet, Epoch: c.Plan.Epoch}
	if c.Open != nil {
		out.Ceremony = c.Open.Ceremony
	}
	state := ""
	if s, ok := c.Next(); ok && !c.Ended() {
		out.Next = string(s.Act)
		state = fmt.Sprintf("step %d of %d is next: %s", out.Step, out.Steps, out.Next)
	}
	if out.Adjourned = c.Adjourned && !c.Ended(); out.Adjourned {
		state = "adjourned; " + state + " once it is reconvened"
	}
	switch {
	case c.Abort != nil:
		out.State, state = "aborted", "aborted: "+c.Abort.Reason
	case c.Close != nil:
		out.State, state = "closed", "closed"
	}
	rows := [][2]string{
		{"ceremony", out.Ceremony + " · " + strings.ToUpper(out.Mode)},
		{"folder", dir},
		{"records", fmt.Sprint(out.Records)},
		{"head", fmt.Sprintf("%x", out.Head)},
		{"", words.Head(out.Head[:]) + " …"},
		{"state", state},
	}
	signed, more, err := abortedBy(dir, c)
	if err != nil {
		return err
	}
	out.SignedBy, rows = signed, append(rows, more...)
	if out.Waits, more, err = waitsFor(dir, c); err != nil {
		return err
	}
	rows = append(rows, more...)
	if cmd := script.Next(c, dir); cmd != "" {
		rows = append(rows, [2]string{"next", cmd})
	}
	return a.Emit(out, a.UI.Fields(rows))
}

func ceremonyStatusCmd(a *cli.App) *cobra.Command {
	return cli.Command("status DIR", "Where a ceremony stands and what comes next", "",
		"  fleetctl ceremony status ceremony", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error {
			account, err := folder.Read(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			return ceremonyResult(a, args[0], account)
		})
}

func ceremonyCloseCmd(a *cli.App) *cobra.Command {
	var unverified bool
	c := cli.Command("close DIR", "End a ceremony: record the digest of every file that will be published",
		`Close renders the package's page and appends the last record, which lists every
file of the package. Its hash is the evidence's identity.

First the package that this makes is verified as a stranger would verify it.
What would not verify is named, and nothing is recorded: now it can still be
mended. What is on the record can't be, a third party's second statement for
one; with --unverified such a ceremony is closed as it is, and published.`,
		"  fleetctl ceremony close ceremony", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error {
			return withJournal(a, args[0], func(j *engine.Journal) error {
				var anyway func(error) error
				if unverified {
					anyway = func(err error) error { return closeUnverified(a, j.Account().Plan.Mode, err) }
				}
				_, err := evidence.Close(j, anyway)
				var waits *folder.Pending
				var unfit strict.Errors
				switch {
				case errors.As(err, &waits):
					return pausing(args[0], err)
				case errors.As(err, &unfit):
					return cli.Wrong(err)
				case err != nil:
					return err
				}
				return ceremonyResult(a, args[0], j.Account())
			}, ceremony.ActClose)
		})
	c.Flags().BoolVar(&unverified, "unverified", false, "close it although its evidence will not verify")
	return c
}

// closeUnverified shows what is wrong, and asks whether it is to stay so.
func closeUnverified(a *cli.App, mode string, wrong error) error {
	a.UI.Error(wrong)
	if a.UI.Asks() {
		return a.UI.Consent("Nobody will be able to verify this evidence.", "close unverified")
	}
	if mode != ceremony.Rehearsal {
		return cli.Usagef("", "in production nobody closes such a ceremony without being asked, and there is no terminal to ask at")
	}
	return nil
}

// withJournal opens a ceremony's folder for one of the acts. One that the order
// of the ceremony forbids is the caller's to mend, and is refused before
// anything is shown or done.
func withJournal(a *cli.App, dir string, do func(*engine.Journal) error, acts ...ceremony.Act) error {
	if err := ceremonyThere(dir); err != nil {
		return err
	}
	j, err := engine.OpenJournal(dir, a.Now, a.Random)
	if err != nil {
		var e *strict.Error
		if errors.As(err, &e) && e.File == dir {
			return err // another process is at work on it
		}
		return cli.Wrong(err)
	}
	defer j.Close()
	if err := inTurn(j, acts); err != nil {
		return cli.Usage(err)
	}
	return do(j)
}

func ceremonyThere(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ceremony.TranscriptFile)); errors.Is(err, fs.ErrNotExist) {
		return cli.Usage(strict.Errorf(dir, "holds no ceremony").WithHint("begin one with\nfleetctl ceremony run PLAN --site SITE --dir %s", words.ShellWord(dir)))
	}
	return nil
}

// inTurn says whether one of the acts is the ceremony's next.
func inTurn(j *engine.Journal, acts []ceremony.Act) error {
	c := j.Account()
	step, ok := c.Next()
	switch {
	case len(acts) > 0 && c.Adjourned && !c.Ended():
		return strict.Errorf(j.Dir(), "the ceremony is adjourned: it has to be reconvened first").WithHint("%s", script.Next(c, words.ShellWord(j.Dir())))
	case len(acts) == 0 || !c.Ended() && ok && slices.Contains(acts, step.Act):
		return nil
	case c.Abort != nil:
		return strict.Errorf(j.Dir(), "the ceremony was aborted, and nothing follows on that: %s", c.Abort.Reason)
	case c.Close != nil && acts[0] == ceremony.ActResponse:
		return strict.Errorf(j.Dir(), "the ceremony is closed, and nothing follows on that: a late answer is published beside the evidence").
			WithHint("%s", "it counts there with\nfleetctl verify evidence.tar --policy POLICY --statement RESPONSE\nand the next epoch's request names it with\nfleetctl bundle request DIR --previous-statement RESPONSE")
	case c.Close != nil:
		return strict.Errorf(j.Dir(), "the ceremony is closed, and nothing follows on that").WithHint("%s", "pack it with\n"+script.Pack(words.ShellWord(j.Dir())))
	}
	return strict.Errorf(j.Dir(), "it is not the turn of %q: the next step is %q", acts[0], step.Act).
		WithHint("%s", script.Next(c, words.ShellWord(j.Dir())))
}
