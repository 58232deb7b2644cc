//go:build cgo && unix

package fleet

import (
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/drill"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// nextOptions name the epoch that goes live in a drill, and how it ends.
type nextOptions struct {
	dir, site, notice string
	hosts             *drillHosts // of its nodes, once they are read
}

func (o *nextOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "next", "", "the `ceremony` of the epoch that goes live in stage succession, in a rehearsal")
	f.StringVar(&o.site, "next-site", "", "that ceremony's site `file`")
	f.StringVar(&o.notice, "retirement", "", "the bundle of the notice by which the fleet is retired after that epoch, a `file`, with its proof beside it")
}

// read reads what stage succession takes; nil where none of it is named.
func (o *nextOptions) read(a *cli.App, first *ceremony.Account) (*drill.Next, error) {
	switch {
	case o.dir == "" && o.site == "" && o.notice == "":
		return nil, nil
	case o.dir == "" || o.site == "" || o.notice == "":
		return nil, cli.Usagef("", "--next, --next-site and --retirement go together")
	case first.Plan.Mode != ceremony.Rehearsal:
		return nil, cli.Usagef("leave --next, --next-site and --retirement out: the stage is listed as not run", "a second epoch is drilled in a rehearsal alone, and this ceremony is of production")
	}
	account, err := folder.Read(o.dir)
	if err != nil {
		return nil, cli.Usage(cli.Missing(err))
	}
	s, err := cli.ReadSite(o.site, account.Plan)
	if err != nil {
		return nil, err
	}
	n := &drill.Next{}
	if n.Bundle, n.Proof, err = cli.ReadAnswer(filepath.Join(o.dir, ceremony.BundleFile), ""); err != nil {
		return nil, err
	}
	if n.Notice, n.NoticeProof, err = cli.ReadAnswer(o.notice, ""); err != nil {
		return nil, err
	}
	b, err := bundle.ParseBundle(filepath.Join(o.dir, ceremony.BundleFile), n.Bundle)
	if err != nil {
		return nil, cli.Usage(err)
	}
	n.Nodes = drilledNodes(s, account.Plan, site.Nowhere)
	o.hosts = &drillHosts{a: a, nodes: n.Nodes, keys: b.KeySet, pins: map[string][]byte{}}
	n.Open = func(hsm string) (drill.Host, error) { return o.hosts.open(hsm, false) }
	return n, nil
}

// ask asks for its HSMs' PINs: now, and not in the middle of the drill.
func (o *nextOptions) ask(n *drill.Next) error {
	if n == nil {
		return nil
	}
	for _, x := range n.Nodes {
		if _, _, err := o.hosts.ask(x.HSM); err != nil {
			return err
		}
	}
	return nil
}

// drilledNodes are a node for each of the plan's HSMs, where the site file has it.
func drilledNodes(s *engine.Site, p *ceremony.Plan, anchor string) (list []site.Node) {
	for _, x := range p.HSMs {
		h := s.HSM(x.Name)
		list = append(list, site.Node{HSM: h.Name, Module: h.Module, Token: h.Token, PIN: h.PIN, InitArgs: h.InitArgs, TPM: h.TPM, Anchor: anchor})
	}
	return list
}
