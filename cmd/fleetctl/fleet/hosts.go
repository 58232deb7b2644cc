//go:build cgo && unix

package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/drill"
	"github.com/fleetctl/fleetctl/internal/fleet/hsmhost"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// drillHosts starts the HSMs' processes of a drill. A PIN is asked for once.
type drillHosts struct {
	a     *cli.App
	nodes []site.Node
	keys  *bundle.KeySet
	pins  map[string][]byte
}

// ask finds the node of an HSM, and asks for its PIN.
func (d *drillHosts) ask(name string) (*here, []byte, error) {
	h := &here{}
	for i := range d.nodes {
		if d.nodes[i].HSM == name {
			h.self = &d.nodes[i]
		}
	}
	if h.self == nil {
		return nil, nil, fmt.Errorf("there is no node %q", name)
	}
	pin, asked := d.pins[name]
	if !asked {
		var err error
		if pin, err = pinOf(d.a, h); err != nil {
			return nil, nil, err
		}
		d.pins[name] = pin
	}
	return h, pin, nil
}

func (d *drillHosts) open(name string, aside bool) (drill.Host, error) {
	h, pin, err := d.ask(name)
	if err != nil {
		return nil, err
	}
	c := h.hostConfig(d.a, node.Fleet(d.keys, aside), pin)
	if place, err := site.ParsePlace(h.self.Anchor); err == nil {
		c.AnchorIndex = uint64(place.Index)
	}
	if aside && c.AnchorIndex != 0 {
		c.AnchorIndex++
	}
	p, err := hsmhost.Start("", c, pin)
	if err != nil {
		return nil, err
	}
	return &drillHost{p}, nil
}

// drillHost is an HSM's process.
type drillHost struct{ *hsmhost.Process }

// with asks the HSM, once no node has it any more.
func (h *drillHost) with(do func(*hsmhost.Anchor) error) error {
	ctx, stop := context.WithTimeout(context.Background(), connecting)
	defer stop()
	c, err := hsmhost.Dial(ctx, h.Socket())
	if err != nil {
		return err
	}
	return errors.Join(do(c.Anchor()), c.Close())
}

// Keeps says whether the HSM can keep an anchor, and has none.
func (h *drillHost) Keeps() error {
	return h.with(func(a *hsmhost.Anchor) error {
		switch _, err := a.Read(); {
		case errors.Is(err, anchor.ErrNone):
			return nil
		case err != nil:
			return err
		}
		return errors.New("has an anchor of this fleet already, which a drill leaves alone: it is of a node that runs, or of a drill that was interrupted (fleetctl fleet leave takes it out)")
	})
}

// Rewrite has the HSM write its anchor again, through its process and its socket, as a
// node has it written.
func (h *drillHost) Rewrite(n int) (list []time.Duration, err error) {
	err = h.with(func(a *hsmhost.Anchor) error {
		now, err := a.Read()
		if err != nil {
			return err
		}
		for range n {
			began := time.Now()
			if err := a.Write(now); err != nil {
				return err
			}
			list = append(list, time.Since(began))
		}
		return nil
	})
	return list, err
}

// Remove takes the anchor out of the HSM.
func (h *drillHost) Remove() error { return h.with((*hsmhost.Anchor).Remove) }
