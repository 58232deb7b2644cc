package drill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/imposter"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
)

// sessions has every node show its bundle and its key, and devices refuse who can't.
func (d *drill) sessions(ctx context.Context) error {
	for i, m := range d.members {
		proof, err := d.proves(ctx, m)
		d.tried("proves-its-key", m.HSM, m.HSM+" answers with the published bundle and proves its key", err)
		d.r.Nodes[i].Proof = proof
	}
	said, err := imposter.Overhear(ctx, d.members[0].address)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name, what string
		said       *imposter.Said
		why        []bundle.Reason // any of them; none: any refusal
	}{
		{"tampered-bundle", "a bundle with one byte changed is refused", said.Tampered(), nil},
		{"unlisted-node", "a server that is in no bundle is refused", said, []bundle.Reason{session.ReasonNode}},
		{"unwitnessed-proof", "a proof that no witness signed is refused", said.Unwitnessed(), nil},
	} {
		if c.name == "unwitnessed-proof" && bytes.Equal(c.said.Proof, said.Proof) {
			d.tried(c.name, "", c.what, errAmiss("the bundle's own proof has no witness: plan a log policy with a quorum"))
			continue
		}
		d.tried(c.name, "", c.what, d.refuses(ctx, c.said, c.why...))
	}
	d.tried("older-epoch", "", "an epoch older than the device has seen is refused", d.refusesOlder(ctx))
	return d.sessionsTook(ctx)
}

// proves has a new device open a session with a node, and gives what it showed.
func (d *drill) proves(ctx context.Context, m *member) (*report.Session, error) {
	h, err := d.device("drill.proof." + m.HSM)
	if err != nil {
		return nil, err
	}
	return h.shown(ctx, m)
}

// shown opens a session with a node, and gives what it showed.
func (h *handset) shown(ctx context.Context, m *member) (*report.Session, error) {
	d := h.d
	s, err := h.Open(ctx, phone.Node{HSM: m.HSM, Address: m.address})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	v := s.Accepted()
	if v.Bundle.KeySet.Digest() != d.keys.Digest() {
		return nil, errAmiss("it answers with another bundle")
	}
	if s.Node() != m.HSM {
		return nil, errAmiss("it answers as %s", s.Node())
	}
	return &report.Session{Bundle: d.r.Bundle, Proof: d.r.Proof, Peer: sha256.Sum256(s.Key()), Protocol: report.Protocol, Group: s.Group(), Verdict: report.Accepted}, nil
}

// refuses demands that a new device refuses an imposter.
func (d *drill) refuses(ctx context.Context, said *imposter.Said, why ...bundle.Reason) error {
	h, err := d.device("drill.imposter")
	if err != nil {
		return err
	}
	return h.refuses(ctx, said, why...)
}

// refuses demands that the device refuses an imposter, and says nothing to it.
func (h *handset) refuses(ctx context.Context, said *imposter.Said, why ...bundle.Reason) error {
	i, err := imposter.Serve(said)
	if err != nil {
		return err
	}
	s, err := h.Open(ctx, phone.Node{HSM: "imposter", Address: i.Address()})
	if s != nil {
		s.Close()
	}
	if heard := i.Close(); err != nil && heard != 0 {
		return errAmiss("the device had sent it %d bytes", heard)
	}
	return refusedFor(err, why...)
}

// refusedFor demands that a device refused what it was answered, for one of these
// reasons; none is any.
func refusedFor(err error, why ...bundle.Reason) error {
	var r *bundle.Refusal
	switch {
	case err == nil:
		return errAmiss("the device accepts it")
	case !errors.As(err, &r):
		return errAmiss("the device doesn't refuse it: %v", err)
	}
	for _, w := range why {
		if r.Reason == w {
			return nil
		}
	}
	if len(why) > 0 {
		return errAmiss("it is refused for the reason %s, not %s: %v", r.Reason, why[0], err)
	}
	return nil
}

// refusesOlder has a device that has seen the next epoch ask a node of this one.
func (d *drill) refusesOlder(ctx context.Context) error {
	h, err := d.device("drill.later")
	if err != nil {
		return err
	}
	first := phone.Node{HSM: d.members[0].HSM, Address: d.members[0].address}
	s, err := h.Open(ctx, first)
	if err != nil {
		return err
	}
	state := string(s.Accepted().State.Raw())
	s.Close()
	digest := fmt.Sprintf("%x", d.keys.Digest())
	later := fmt.Sprintf("%x", sha256.Sum256([]byte("the next epoch of this drill")))
	for _, change := range [][2]string{{fmt.Sprintf(`"epoch": %d`, d.keys.Epoch), fmt.Sprintf(`"epoch": %d`, d.keys.Epoch+1)}, {digest, later}} {
		if !strings.Contains(state, change[0]) {
			return errAmiss("the device's state has no %s", change[0])
		}
		state = strings.ReplaceAll(state, change[0], change[1])
	}
	file := filepath.Join(d.Out, "devices", "later")
	guard := fmt.Sprintf("fleetctl device-guard v1\nstate %x\nnext -\n", sha256.Sum256([]byte(state)))
	if err := errors.Join(durable.Create(file, []byte(state), 0o600), durable.Create(file+".guard", []byte(guard), 0o600)); err != nil {
		return err
	}
	h.Session.State, h.Session.Guard, h.Session.Begin = device.File(file), device.File(file+".guard"), false
	s, err = h.Open(ctx, first)
	if err == nil {
		s.Close()
		return errAmiss("a device that has seen epoch %d accepts epoch %d", d.keys.Epoch+1, d.keys.Epoch)
	}
	var r *bundle.Refusal
	if !errors.As(err, &r) || r.Reason == device.ReasonState {
		return errAmiss("the device doesn't refuse it for its epoch: %v", err)
	}
	return nil
}
