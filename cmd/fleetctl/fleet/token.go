//go:build cgo && unix

package fleet

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/hsmhost"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/signer"
)

// token is a node's HSM, whose PKCS#11 module runs in a process of its own.
type token struct {
	*hsmhost.Client
	p *hsmhost.Process // nil where another program has started it
}

// openToken connects with the HSM's process, which it starts where nobody else has.
func openToken(ctx context.Context, a *cli.App, h *here) (*token, error) {
	t, socket := &token{}, h.socket
	if socket == "" {
		pin, err := pinOf(a, h)
		if err != nil {
			return nil, err
		}
		t.p, err = hsmhost.Start("", h.hsmConfig(a, pin), pin)
		clear(pin)
		if err != nil {
			return nil, err
		}
		socket = t.p.Socket()
	}
	within, stop := context.WithTimeout(ctx, connecting)
	defer stop()
	var err error
	if t.Client, err = hsmhost.Dial(within, socket); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// connecting is how long an HSM's process may be with a node that was there before.
const connecting = 20 * time.Second

func (h *here) hsmConfig(a *cli.App, pin []byte) *hsmhost.Config {
	return h.hostConfig(a, node.Fleet(h.keys, h.beside), pin)
}

// hostConfig is of the node's token, with the anchor of some fleet.
func (h *here) hostConfig(a *cli.App, fleet [16]byte, pin []byte) *hsmhost.Config {
	c := &hsmhost.Config{
		Module: h.self.Module, InitArgs: h.self.InitArgs, Label: h.self.Token, Keypad: pin == nil,
		Fleet: fleet, AnchorIndex: uint64(h.place.Index), Patience: uint64(a.Patience.Milliseconds()),
	}
	if a.Trace != nil {
		c.Trace = a.Trace.Name()
	}
	of := h.self.Dir
	if h.leaves {
		of = filepath.Dir(filepath.Clean(of))
	}
	if _, err := durable.Stat(of); err == nil {
		c.Lock = h.lock()
	}
	if h.self.TPM != nil {
		c.TPM = &hsmhost.TPM{TCTI: h.self.TPM.TCTI, Store: h.self.TPM.Store}
	}
	return c
}

// lock is the file by which one process at a time has the node's HSM.
func (h *here) lock() string { return filepath.Clean(h.self.Dir) + ".hsm-lock" }

// pinOf looks at the token without a login, and asks for its PIN.
func pinOf(a *cli.App, h *here) ([]byte, error) {
	m, err := signer.OpenModule(a, h.self.Module, h.self.InitArgs)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	t, err := m.Token(hsm.Selector{Label: h.self.Token})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	about, err := t.Info()
	if err != nil {
		return nil, err
	}
	p, err := signer.PINFor(a, h.self.PIN, h.self.HSM, about, nil)
	return p.Secret, err
}

// Close lets another node have the HSM, and ends the process that was started here.
func (t *token) Close() error {
	var err error
	if t.Client != nil {
		err = t.Client.Close()
	}
	if t.p != nil {
		err = errors.Join(err, t.p.Stop())
	}
	return err
}

// signs is the HSM's key of a role, which signs; nil where no role is named.
func (t *token) signs(h *here, role string) (func([]byte) ([]byte, error), error) {
	if role == "" {
		return nil, nil
	}
	k, err := node.Key(h.keys, h.self.HSM, role)
	if err != nil {
		return nil, err
	}
	return func(m []byte) ([]byte, error) { return t.Sign(k.SPKI, m) }, nil
}

// agrees is the HSM's key of a role, which agrees.
func (t *token) agrees(h *here, role string) (func([]byte) ([]byte, error), error) {
	k, err := node.Key(h.keys, h.self.HSM, role)
	if err != nil {
		return nil, err
	}
	return func(peer []byte) ([]byte, error) { return t.Agree(k.SPKI, peer) }, nil
}

// canOpen has the token open the sealed secrets, before anything is made.
func (h *here) canOpen(o *nodeOptions, t *token) error {
	agree, err := t.agrees(h, o.roles.Sealing)
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
	s, err := f.Open(b, o.roles.Sealing, o.hsm, agree)
	if err == nil {
		s.Clear()
	}
	return err
}
