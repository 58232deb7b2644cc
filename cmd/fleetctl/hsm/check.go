package hsm

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/words"
)

type checkJSON struct {
	OK   bool        `strict:"ok"`
	HSMs []stateJSON `strict:"hsms"`
}

// Format is what the JSON says that it is.
func (*checkJSON) Format() string { return "fleetctl hsm check result v1" }

type stateJSON struct {
	HSM     string       `strict:"hsm"`
	OK      bool         `strict:"ok"`
	State   string       `strict:"state"`
	Lacks   []string     `strict:"lacks"`
	Objects []objectJSON `strict:"objects"`
}

type objectJSON struct {
	Class string `strict:"class"`
	Label string `strict:"label"`
	ID    []byte `strict:"id,hex"`
}

func checkCmd(a *cli.App) *cobra.Command {
	var site string
	c := cli.Command("check PLAN", "What a plan needs of its HSMs and they lack",
		`Check finds each HSM of the plan by its serial and label and says what the
plan needs that its token can't do, and what the token holds already: in a
ceremony each must be empty. It logs in nowhere and changes nothing, so private
objects stay hidden from it; the ceremony looks again once an HSM is unlocked.`,
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
			return check(a, p, s)
		})
	c.Flags().StringVar(&site, "site", "", "the site `file`")
	return c
}

func check(a *cli.App, p *ceremony.Plan, s *engine.Site) error {
	out := checkJSON{OK: true}
	var rows, held [][]string
	for _, h := range p.HSMs {
		st := stateOf(a, p, h, s.HSM(h.Name))
		out.OK = out.OK && st.OK
		out.HSMs = append(out.HSMs, st)
		rows = append(rows, []string{h.Name, h.Site, h.Serial, st.State})
		for _, o := range st.Objects {
			held = append(held, []string{h.Name, o.Class, fmt.Sprintf("%x", o.ID), o.Label})
		}
	}
	text := []string{a.UI.Table([]string{"HSM", "site", "serial", "state"}, rows), "\n"}
	if len(held) > 0 {
		text = append(text, a.UI.Table([]string{"HSM", "holds", "id", "label"}, held), "\n",
			a.UI.Line("A ceremony needs empty HSMs: find out whose these are. fleetctl hsm init --erase destroys everything on a token."), "\n")
	}
	if out.OK {
		text = append(text, a.UI.Line(words.Count(int64(len(p.HSMs)), "HSM", "HSMs")+" ready for this plan; what is private shows only after a login"))
	} else {
		text = append(text, a.UI.Line("not every HSM is ready for this plan"))
	}
	if err := a.Emit(&out, text...); err != nil {
		return err
	}
	if !out.OK {
		return cli.Exit(cli.ExitFailed, cli.ErrQuiet)
	}
	return nil
}

func stateOf(a *cli.App, p *ceremony.Plan, h ceremony.PlanHSM, s *engine.SiteHSM) stateJSON {
	st := stateJSON{HSM: h.Name, Lacks: []string{}, Objects: []objectJSON{}}
	fail := func(err error) stateJSON {
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
	defer t.Close()
	info, err := t.Info()
	if err != nil {
		return fail(err)
	}
	objects, err := t.PublicObjects()
	if err != nil {
		return fail(err)
	}
	for _, o := range objects {
		st.Objects = append(st.Objects, objectJSON{Class: o.Class, Label: o.Label, ID: o.ID})
	}
	for _, r := range p.Roles {
		missing, err := m.Lacks(sel, r.Algorithm)
		if err != nil {
			return fail(err)
		}
		for _, x := range missing {
			if x == "CKM_ECDH1_DERIVE" && m.IsTPM2() {
				if h.Agreement == ceremony.AgreementTPM {
					continue // the TPM itself is asked
				}
				x += " (tpm2-pkcs11 has no ECDH; agreement: " + ceremony.AgreementTPM + " under hsms: in the plan has the TPM agree)"
			}
			st.Lacks = append(st.Lacks, r.Name+": "+x)
		}
	}
	st.State = tokenState(info)
	st.OK = len(st.Lacks) == 0 && len(st.Objects) == 0 && !info.PINLocked && info.Initialized
	var faults []string
	if n := len(st.Objects); n > 0 {
		faults = append(faults, "not empty: "+words.Count(int64(n), "object", "objects"))
	}
	if len(st.Lacks) > 0 {
		faults = append(faults, "lacks "+strings.Join(st.Lacks, ", "))
	}
	if info.PINLocked {
		faults = append(faults, st.State)
	}
	if len(faults) > 0 {
		st.State = strings.Join(faults, "; ")
	}
	return st
}
