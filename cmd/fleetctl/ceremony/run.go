package ceremony

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func runCmd(a *cli.App) *cobra.Command {
	var o runOptions
	c := cli.Command("run PLAN", "Run the ceremony of a plan: generate and check every key",
		`Run takes every HSM in, unlocks it once officers have approved that, generates
its keys inside and checks each: attributes read back, attempts to take it out,
proof of possession, found again by a new process. Every act is on a transcript
before and after it happens. A check that fails destroys every key and ends the
ceremony, on the record; anything else that fails leaves it to be resumed.

Production takes a policy that pins the people, and people at a terminal. Which
of that policy's claims this ceremony can't reach is said before the first HSM
is unlocked; people who go on all the same type it, and it stands on the
record.

A plan of fleetctl plan destroy makes no key: its ceremony destroys those of a
retired fleet, each once it has shown itself to be the bundle's, and looks for
them afterwards. It takes --retirement and --retired.`,
		`  fleetctl ceremony run plan.yaml --site site.yaml --dir ceremony --policy room.yaml
  fleetctl ceremony run rehearsal.yaml --site site.yaml --dir rehearsal --unattended --sign-with olga --sign-with omar`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site", "dir"); err != nil {
				return err
			}
			p, err := o.read(args[0])
			if err != nil {
				return err
			}
			stop, err := o.serves(cmd.Context(), a, p)
			if err != nil {
				return err
			}
			defer stop()
			account, err := runCeremony(a, cmd, p, &o)
			if err != nil {
				return o.Over(session.Pausing(o.dir, err))
			}
			return o.Over(tellStatus(a, o.dir, account))
		})
	o.flags(c)
	session.SignWithFlag(c, &o.keys)
	return c
}

type runOptions struct {
	site, dir, policy, approvals string
	keys                         []string
	listen                       string
	retirement, retired          string
	session.StandIn
}

// flags are those of running a plan.
func (o *runOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the site `file`: where the plan's HSMs are")
	f.StringVar(&o.dir, "dir", "", "the ceremony's `folder`; new, or one to go on in")
	f.StringVar(&o.policy, "policy", "", "`file` that pins the people, third parties and operator; the plan must agree with it")
	f.StringVar(&o.approvals, "approvals", "", "`folder` that has plan-approvals in it (default: the plan's)")
	f.StringVar(&o.listen, "listen", "", "serve where the ceremony stands to second screens at this `address`, such as 192.0.2.7:8080; to be read, and nothing else")
	f.StringVar(&o.retirement, "retirement", "", "of a plan that destroys keys: the bundle `file` of the fleet's retirement, with its proof beside it as FILE.tlog-proof")
	f.StringVar(&o.retired, "retired", "", "of a plan that destroys keys: the bundle `file` that brought them, with its proof beside it")
	o.StandIn.Flags(c)
	o.AttestationsFlag(c)
}

// read reads the plan and looks whether its HSMs can be reached.
func (o *runOptions) read(plan string) (*ceremony.Plan, error) {
	p, err := cli.ReadPlan(plan)
	if err != nil {
		return nil, err
	}
	site, err := cli.ReadSite(o.site, p)
	if err != nil {
		return nil, err
	}
	if o.approvals == "" {
		o.approvals = filepath.Dir(plan)
	}
	o.Plan = plan
	return p, modulesThere(site)
}

func runCeremony(a *cli.App, cmd *cobra.Command, p *ceremony.Plan, o *runOptions) (*ceremony.Account, error) {
	c, err := o.config(a, p)
	if err != nil {
		return nil, err
	}
	return engine.Run(cmd.Context(), c)
}

// config is what the engine needs to run a plan.
func (o *runOptions) config(a *cli.App, p *ceremony.Plan) (c engine.Config, err error) {
	policy, err := pinnedPlan(p, o.policy)
	if err != nil {
		return c, err
	}
	if err := session.KnowsFormats(p); err != nil {
		return c, err
	}
	if c, err = session.Config(a, o.dir, o.site, o.keys); err != nil {
		return c, err
	}
	judgedBy(a, &c, p, policy)
	if c.Participants, err = session.People(a, p.Mode, &o.StandIn); err != nil {
		return c, err
	}
	if c.PlanApprovals, err = folder.ReadSignings(o.approvals, ceremony.PlanApprovalsDir); err != nil {
		return c, cli.Wrong(err)
	}
	c.Plan = p
	if c.Ended, err = o.ended(p); err == nil && p.Destroys != nil {
		err = cli.Wrong(engine.MayDestroy(p, c.Ended, policy, a.Now()))
	}
	return c, err
}

// ended reads why the keys may be destroyed; nil where nothing is given, which the run
// says if it needs it.
func (o *runOptions) ended(p *ceremony.Plan) (*engine.Ended, error) {
	switch given := o.retirement != "" || o.retired != ""; {
	case given && p.Destroys == nil:
		return nil, cli.Usagef("", "--retirement and --retired are for plans that destroy keys, and this one makes some")
	case !given && p.Destroys != nil:
		return nil, cli.Usagef("name the retirement's bundle with --retirement and the bundle that brought the keys with --retired, each with its proof beside it as FILE.tlog-proof", "the plan destroys keys, and nothing is given that shows that their fleet is retired")
	case !given:
		return nil, nil
	case o.retirement == "" || o.retired == "":
		return nil, cli.Usagef("", "--retirement and --retired go together")
	}
	e := &engine.Ended{}
	for _, x := range []struct {
		file        string
		data, proof *[]byte
	}{{o.retirement, &e.Retirement, &e.RetirementProof}, {o.retired, &e.Keys, &e.KeysProof}} {
		var err error
		if *x.data, err = cli.ReadFile(x.file); err != nil {
			return nil, err
		}
		proof := x.file + ".tlog-proof"
		if *x.proof, err = cli.ReadBeside(proof); err == nil && *x.proof == nil {
			err = strict.Errorf(proof, "isn't there, and what isn't logged ends no fleet").WithHint("fleetctl log append %s, or fleetctl log prove", x.file)
		}
		if err != nil {
			return nil, cli.Wrong(err)
		}
	}
	return e, nil
}

// judgedBy has the ceremony begun and its devices judged under a policy, and says
// what of it can't be reached; where there is none, it changes nothing.
func judgedBy(a *cli.App, c *engine.Config, p *ceremony.Plan, policy *evidence.Policy) {
	if policy == nil {
		return
	}
	c.Policy, c.Attest = policy, session.NewAttester(policy.Attestation)
	if short := planned.Short(planned.Forecast(p, policy)); len(short) > 0 && p.Mode == ceremony.Rehearsal {
		a.UI.Say("\n", cli.Forecast(a, short)) // in production people are asked
	}
}

// pinnedPlan demands that a policy pins whom the plan names: a plan never
// authorises itself.
func pinnedPlan(p *ceremony.Plan, file string) (*evidence.Policy, error) {
	if file == "" {
		if p.Mode == ceremony.Production {
			return nil, cli.Usagef("pin the officers in a policy of your own and name it with --policy", "a production plan can't say itself who may approve it")
		}
		return nil, nil
	}
	data, err := cli.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := evidence.ParsePolicy(file, data)
	if err != nil {
		return nil, cli.Usage(err)
	}
	return policy, cli.Usage(policy.CheckPlan(p))
}

// modulesThere asks, before people have been called together, that there is a
// way to their HSMs. It opens none: that is a step of the ceremony.
func modulesThere(s *engine.Site) error {
	if hsm.LeftOut {
		return hsm.ErrLeftOut
	}
	for _, h := range s.HSMs {
		if _, err := os.Stat(h.Module); err != nil {
			return cli.Usage(strict.Errorf(h.Module, "the module of %s isn't there: %v", h.Name, errors.Unwrap(err)).
				WithHint("install the token's software, or correct the site file"))
		}
	}
	return nil
}
