//go:build cgo && unix

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
)

// token is a node's HSM.
type token struct{ t *hsm.Token }

func openToken(_ context.Context, a *cli.App, h *here) (*token, error) {
	m, err := signer.OpenModule(a, h.self.Module, h.self.InitArgs)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	t, err := m.Token(hsm.Selector{Label: h.self.Token})
	if err != nil {
		return nil, err
	}
	if err := signer.Unlock(a, t, h.self.PIN, h.self.HSM); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return &token{t}, nil
}

func (t *token) Close() error { return t.t.Close() }

func (t *token) keeper(p site.Place) (anchor.Keeper, error) {
	return nil, fmt.Errorf("%s: no anchor there yet", p)
}

// find gives the id of the bundle's key in the token.
func (t *token) find(k *bundle.FleetKey) ([]byte, error) {
	objects, err := t.t.Objects()
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if spki, err := t.t.PublicKey(string(k.Algorithm), o.ID); err == nil && bytes.Equal(spki, k.SPKI) {
			return o.ID, nil
		}
	}
	return nil, fmt.Errorf("the token has no key that is the bundle's of hsm %s, role %s: it is another token, or another epoch's", k.HSM, k.Role)
}

// atWork are the HSM's keys of two roles.
func (t *token) atWork(h *here, role, sealing string) (sign, agree func([]byte) ([]byte, error), err error) {
	s, err := node.Key(h.keys, h.self.HSM, role)
	if err != nil {
		return nil, nil, err
	}
	g, err := node.Key(h.keys, h.self.HSM, sealing)
	if err != nil {
		return nil, nil, err
	}
	signID, err := t.find(s)
	if err != nil {
		return nil, nil, err
	}
	agreeID, err := t.find(g)
	if err != nil {
		return nil, nil, err
	}
	return func(m []byte) ([]byte, error) { return t.t.Sign(string(s.Algorithm), signID, keys.ForSession, m) },
		func(peer []byte) ([]byte, error) { return t.t.Agree(string(g.Algorithm), agreeID, peer) }, nil
}

// canOpen has the token open the sealed secrets, before anything is made.
func (h *here) canOpen(o *nodeOptions, t *token) error {
	_, agree, err := t.atWork(h, o.role, o.sealing)
	if err != nil {
		return err
	}
	f, err := sealed.ParseFile(o.secrets, h.secrets)
	if err != nil {
		return err
	}
	b, err := bundle.ParseBundle("bundle", h.bundle)
	if err != nil {
		return err
	}
	s, err := f.Open(b, o.sealing, o.hsm, agree)
	if err == nil {
		s.Clear()
	}
	return err
}
