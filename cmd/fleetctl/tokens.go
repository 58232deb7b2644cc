package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
	"github.com/fleetctl/fleetctl/internal/words"
)

// tokensForPlan picks the module's tokens, in the order of their labels, and
// the best algorithm that all of them offer.
func tokensForPlan(a *cli.App, o planNewOptions, d *draft.Plan) (labels []string, alg keys.Algorithm, err error) {
	m, err := signer.OpenModule(a, o.module, o.initArgs)
	if err != nil {
		return nil, "", err
	}
	defer m.Close()
	all, err := m.Tokens()
	if err != nil {
		return nil, "", err
	}
	list := slices.DeleteFunc(all, func(i token.Info) bool {
		return !i.Initialized || !strings.HasPrefix(i.Label, o.prefix)
	})
	slices.SortFunc(list, func(x, y token.Info) int { return naturally(x.Label, y.Label) })
	if len(list) < o.hsms {
		return nil, "", cli.Usagef("make them with\nfleetctl hsm init --module "+o.module+" --label "+o.prefix+"1",
			"%d HSMs are planned, and the module has %d initialised tokens with a label %q…", o.hsms, len(list), o.prefix)
	}
	list = list[:o.hsms]
	alg = keys.Ed25519
	for i, t := range list {
		d.HSMs = append(d.HSMs, ceremony.PlanHSM{Name: fmt.Sprintf("hsm-%d", i+1), Site: o.site, Serial: t.Serial})
		labels = append(labels, t.Label)
		missing, err := m.Lacks(hsm.Selector{Serial: t.Serial, Label: t.Label}, keys.Ed25519)
		if err != nil {
			return nil, "", err
		}
		if len(missing) > 0 {
			alg = keys.P256
		}
	}
	return labels, alg, nil
}

// naturally compares labels as people count them: fleet-2 before fleet-10.
// Labels that differ only in leading zeros have the order of their bytes.
func naturally(x, y string) int {
	run := func(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
	a, b := x, y
	for a != "" && b != "" {
		n, m := run(a), run(b)
		if n == 0 || m == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		v, w := strings.TrimLeft(a[:n], "0"), strings.TrimLeft(b[:m], "0")
		if c := cmp.Or(cmp.Compare(len(v), len(w)), strings.Compare(v, w)); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(x, y))
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

type hsmCheckJSON struct {
	OK   bool           `strict:"ok"`
	HSMs []hsmStateJSON `strict:"hsms"`
}

type hsmStateJSON struct {
	HSM   string   `strict:"hsm"`
	OK    bool     `strict:"ok"`
	State string   `strict:"state"`
	Lacks []string `strict:"lacks"`
}

func hsmCheckCmd(a *cli.App) *cobra.Command {
	var site string
	c := cli.Command("check PLAN", "What a plan needs of its HSMs and they lack",
		`Check finds each HSM of the plan by its serial and label and says what the
plan needs that its token can't do. It logs in nowhere and changes nothing.`,
		"  fleetctl hsm check plan.yaml --site site.yaml",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site"); err != nil {
				return err
			}
			p, err := cli.ReadPlan(args[0])
			if err != nil {
				return err
			}
			s, err := cli.ReadSite(site, p)
			if err != nil {
				return err
			}
			return hsmCheck(a, p, s)
		})
	c.Flags().StringVar(&site, "site", "", "the site `file`")
	return c
}

func hsmCheck(a *cli.App, p *ceremony.Plan, s *engine.Site) error {
	out := hsmCheckJSON{OK: true}
	var rows [][]string
	for _, h := range p.HSMs {
		st := hsmState(a, p, h, s.HSM(h.Name))
		out.OK = out.OK && st.OK
		out.HSMs = append(out.HSMs, st)
		rows = append(rows, []string{h.Name, h.Site, h.Serial, st.State})
	}
	verdict := a.UI.Line(words.Count(int64(len(p.HSMs)), "HSM", "HSMs") + " ready for this plan")
	if !out.OK {
		verdict = a.UI.Line("not every HSM is ready for this plan")
	}
	if err := a.Emit(&out, a.UI.Table([]string{"HSM", "site", "serial", "state"}, rows), "\n", verdict); err != nil {
		return err
	}
	if !out.OK {
		return cli.Exit(cli.ExitFailed, cli.ErrQuiet)
	}
	return nil
}

func hsmState(a *cli.App, p *ceremony.Plan, h ceremony.PlanHSM, s *engine.SiteHSM) hsmStateJSON {
	st := hsmStateJSON{HSM: h.Name, Lacks: []string{}}
	fail := func(err error) hsmStateJSON {
		st.State = err.Error()
		return st
	}
	m, err := signer.OpenModule(a, s.Module, s.InitArgs)
	if err != nil {
		return fail(err)
	}
	defer m.Close()
	sel := hsm.Selector{Serial: h.Serial, Label: s.Token}
	t, err := m.Token(sel)
	if err != nil {
		return fail(err)
	}
	info, err := t.Info()
	t.Close()
	if err != nil {
		return fail(err)
	}
	for _, r := range p.Roles {
		missing, err := m.Lacks(sel, r.Algorithm)
		if err != nil {
			return fail(err)
		}
		for _, x := range missing {
			st.Lacks = append(st.Lacks, r.Name+": "+x)
		}
	}
	st.State = tokenState(info)
	st.OK = len(st.Lacks) == 0 && !info.PINLocked && info.Initialized
	if len(st.Lacks) > 0 {
		st.State = "lacks " + strings.Join(st.Lacks, ", ")
	}
	return st
}
