package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
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
				return o.Over(session.Pausing(o.dir, err))
			}
			return o.Over(ceremonyResult(a, o.dir, account))
		})
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the site `file`: where the plan's HSMs are")
	f.StringVar(&o.dir, "dir", "", "the ceremony's `folder`; new, or one that waits for approvals")
	f.StringVar(&o.policy, "policy", "", "`file` that pins the people, third parties and operator; the plan must agree with it")
	f.StringVar(&o.approvals, "approvals", "", "`folder` that has plan-approvals in it (default: the plan's)")
	session.SignWithFlag(c, &o.keys)
	o.StandIn.Flags(c)
	return c
}

type runOptions struct {
	site, dir, policy, approvals string
	keys                         []string
	session.StandIn
}

func runCeremony(a *cli.App, cmd *cobra.Command, p *ceremony.Plan, o *runOptions) (*ceremony.Account, error) {
	if err := pinnedPlan(p, o.policy); err != nil {
		return nil, err
	}
	c, err := session.Config(a, o.dir, o.site, o.keys)
	if err != nil {
		return nil, err
	}
	if c.Participants, err = session.People(a, p.Mode, &o.StandIn); err != nil {
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
			return session.WithFolder(a, args[0], func(j *engine.Journal) error {
				var anyway func(error) error
				if unverified {
					anyway = func(err error) error { return closeUnverified(a, j.Account().Plan.Mode, err) }
				}
				_, err := evidence.Close(j, anyway)
				var waits *folder.Pending
				var unfit strict.Errors
				switch {
				case errors.As(err, &waits):
					return session.Pausing(args[0], err)
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
