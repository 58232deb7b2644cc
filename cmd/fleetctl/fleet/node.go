//go:build cgo && unix

package fleet

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// notice is on every screen and in every result of these commands.
const notice = "a reference, not a vault: the nodes' secrets are opened into their computers' memory"

// bundleOptions name a fleet's bundle, and by what it is judged.
type bundleOptions struct {
	policy cli.DevicePolicy
	proof  string
	roles  node.Roles
}

func (o *bundleOptions) flags(c *cobra.Command) {
	f := c.Flags()
	o.policy.Flags(f)
	f.StringVar(&o.proof, "proof", "", "the log proof `file` (default: BUNDLE.tlog-proof)")
	f.StringVar(&o.roles.Session, "role", "", "the `role` of the keys that open sessions (default: the only one that signs in TLS)")
	cli.RolePQ(f, &o.roles.PostQuantum, "")
	f.StringVar(&o.roles.Sealing, "sealing", "", "the `role` of the keys to which secrets are sealed (default: the only one that agrees)")
}

// answer is a bundle that a device would take, with its proof.
type answer struct {
	bundle, proof []byte
	keys          *bundle.KeySet
	policy        *device.Policy
}

// read reads a bundle, and refuses one that a device would refuse.
func (o *bundleOptions) read(a *cli.App, cmd *cobra.Command, file string) (*answer, error) {
	p, err := o.policy.Read(cmd, device.Pins{})
	if err != nil {
		return nil, err
	}
	b, proof, err := cli.ReadAnswer(file, o.proof)
	if err != nil {
		return nil, err
	}
	k, err := node.Accept(b, proof, p, a.Now())
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r):
		return nil, cli.Wrong(r.Named(file, file+".tlog-proof"))
	case err != nil:
		return nil, cli.Usage(err)
	}
	if o.roles.PostQuantum, err = session.Pinned(p, o.roles.PostQuantum); err != nil {
		return nil, cli.Usage(err)
	}
	if err := o.roles.Find(k); err != nil {
		return nil, cli.Usage(strict.Errorf(file, "%v", err))
	}
	return &answer{b, proof, k, p}, nil
}

// nodeOptions name one node of a fleet.
type nodeOptions struct {
	bundleOptions
	site, hsm, secrets, socket string
	beside                     bool
}

func (o *nodeOptions) flags(c *cobra.Command) {
	o.bundleOptions.flags(c)
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the fleet's site `file`: where its nodes are")
	f.StringVar(&o.hsm, "hsm", "", "the `name` of this node's HSM, as the bundle has it")
	f.StringVar(&o.secrets, "secrets", "", "the `file` of the fleet's sealed secrets (fleet secrets)")
	f.StringVar(&o.socket, "hsm-socket", "", "the `socket` of the HSM's process, where another program has started it")
	f.BoolVar(&o.beside, "beside", false, "the node is of a fleet that a drill runs beside the one that it is about")
	cobra.CheckErr(errors.Join(f.MarkHidden("hsm-socket"), f.MarkHidden("beside")))
}

// here is what a node works with.
type here struct {
	*answer
	site    *site.Site
	self    *site.Node
	place   site.Place
	secrets []byte
	beside  bool
	leaves  bool   // its folder may be moved away already
	socket  string // of the HSM's process; empty: it is started here
}

func (o *nodeOptions) here(a *cli.App, cmd *cobra.Command, file string) (*here, error) {
	if err := cli.Required(cmd, "policy", "site", "hsm", "secrets"); err != nil {
		return nil, err
	}
	ans, err := o.read(a, cmd, file)
	if err != nil {
		return nil, err
	}
	h := &here{answer: ans, socket: o.socket, beside: o.beside}
	if err := h.locate(o.site, o.hsm); err != nil {
		return nil, err
	}
	if h.secrets, err = cli.ReadNamed(o.secrets, sealed.MaxFile); err != nil {
		return nil, err
	}
	if _, err := sealed.ParseFile(o.secrets, h.secrets); err != nil {
		return nil, cli.Usage(err)
	}
	return h, nil
}

// locate finds the node of an HSM in the site file, which has to be of this fleet.
func (h *here) locate(file, hsm string) (err error) {
	if h.site, err = readSite(file); err != nil {
		return err
	}
	if err := h.site.Matches(h.keys); err != nil {
		return cli.Usage(fmt.Errorf("%s: %w", file, err))
	}
	if h.self = h.site.Node(hsm); h.self == nil {
		return cli.Usage(strict.Errorf(file, "has no node %q", hsm))
	}
	if err := h.self.Runs(); err != nil {
		return cli.Usage(fmt.Errorf("%s: %w", file, err))
	}
	h.place, err = site.ParsePlace(h.self.Anchor)
	return cli.Usage(err)
}

func readSite(file string) (*site.Site, error) {
	data, err := cli.ReadNamed(file, site.MaxSite)
	if err != nil {
		return nil, err
	}
	s, err := site.Parse(file, data)
	return s, cli.Usage(err)
}

// keeper is where the node's anchor lives.
func (h *here) keeper(t *token) (anchor.Keeper, error) {
	if h.place.Kind == site.Nowhere {
		return anchor.File(filepath.Join(h.self.Dir, "anchor")), nil
	}
	return t.Anchor(), nil
}

// founderFile is in the folder of the node with which a fleet began.
const founderFile = "founder"

func (h *here) founder() bool {
	_, err := durable.Stat(filepath.Join(h.self.Dir, founderFile))
	return err == nil
}
