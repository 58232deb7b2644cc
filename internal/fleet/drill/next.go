package drill

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/sealed"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// Next is the epoch that follows a rehearsal's, and the notice that retires the fleet
// after it. Its keys are in other tokens, of HSMs of the same names.
type Next struct {
	Bundle, Proof       []byte
	Notice, NoticeProof []byte      // the notice's bundle, and its proof
	Nodes               []site.Node // in the order of Config.Nodes
	// Open starts the process of one of its HSMs.
	Open func(hsm string) (Host, error)

	bundle *bundle.Bundle
}

// Follows refuses a next epoch that devices of the drill would not take for that, or
// whose nodes can't take the place of the first one's.
func (c *Config) Follows() error {
	n := c.Next
	if n == nil {
		return nil
	}
	first, err := bundle.ParseBundle(c.BundleFile, c.Bundle)
	if err != nil {
		return err
	}
	if first.KeySet.Mode != ceremony.Rehearsal {
		return errors.New("a second epoch is drilled in a rehearsal alone, and this ceremony is of production")
	}
	v, err := n.judged(c, "the next epoch", n.Bundle, n.Proof)
	if err != nil {
		return err
	}
	now, then := first.KeySet, v.Bundle.KeySet
	digest := now.Digest()
	switch {
	case then == nil:
		return errors.New("the next epoch's bundle brings no keys")
	case then.Fleet != now.Fleet || then.Epoch <= now.Epoch:
		return fmt.Errorf("the next epoch is epoch %d of %s, which is not after epoch %d of %s", then.Epoch, then.Fleet, now.Epoch, now.Fleet)
	case !bytes.Equal(then.Previous, digest[:]):
		return fmt.Errorf("epoch %d of %s doesn't follow epoch %d: its previous is %x, and the artifact that is drilled is %x", then.Epoch, then.Fleet, now.Epoch, then.Previous, digest)
	case !slices.Equal(then.HSMs(), now.HSMs()) || then.Majority != now.Majority:
		return fmt.Errorf("the next epoch has the HSMs %q with a majority of %d, this one %q with %d: nodes take the place of nodes with the same names", then.HSMs(), then.Majority, now.HSMs(), now.Majority)
	}
	for i, x := range n.Nodes {
		if len(n.Nodes) != len(c.Nodes) || x.HSM != c.Nodes[i].HSM {
			return errors.New("the next epoch's plan names its HSMs in another order")
		}
	}
	n.bundle = v.Bundle
	if v, err = n.judged(c, "the notice", n.Notice, n.NoticeProof); err != nil {
		return err
	}
	digest = then.Digest()
	switch about := v.Bundle.About(); {
	case !about.Retires:
		return errors.New("the notice retires no fleet: name the bundle of a retirement (fleetctl bundle notice)")
	case about.Fleet != now.Fleet || !bytes.Equal(about.Previous, digest[:]):
		return fmt.Errorf("the notice doesn't retire %s after epoch %d: its previous is %x, and that epoch's artifact is %x", now.Fleet, then.Epoch, about.Previous, digest)
	}
	if _, err := session.PostQuantumRole(then, c.PostQuantum); err != nil {
		return fmt.Errorf("the next epoch: %w", err)
	}
	if _, err := n.told(c.Role); err != nil {
		return err
	}
	secrets, err := sealed.New(rand.Reader)
	if err != nil {
		return err
	}
	defer secrets.Clear()
	if _, err := sealed.Seal(n.bundle, c.Sealing, secrets); err != nil { // as its nodes will have them
		return fmt.Errorf("the next epoch: %w", err)
	}
	return nil
}

// judged is the check of a device of the drill at first contact.
func (n *Next) judged(c *Config, what string, b, proof []byte) (*device.Verdict, error) {
	v, err := device.Judge(b, proof, c.Policy, nil, c.Now())
	if err != nil {
		return nil, fmt.Errorf("%s is refused by devices of this drill: %w", what, err)
	}
	return v, nil
}

// told is what a report says of it, before any device has seen it.
func (n *Next) told(role string) (*report.Next, error) {
	k := n.bundle.KeySet
	r := &report.Next{
		Epoch: k.Epoch, Ceremony: k.Ceremony.ID, Artifact: k.Digest(), Previous: [32]byte(k.Previous),
		Bundle: sha256.Sum256(n.Bundle), Proof: sha256.Sum256(n.Proof), Retirement: sha256.Sum256(n.Notice), Nodes: []report.NextNode{},
	}
	for _, node := range n.Nodes {
		i := slices.IndexFunc(k.Keys, func(x bundle.FleetKey) bool { return x.HSM == node.HSM && x.Role == role })
		if i < 0 {
			return nil, fmt.Errorf("the next epoch has no key of hsm %s for role %s", node.HSM, role)
		}
		r.Nodes = append(r.Nodes, report.NextNode{HSM: node.HSM, Session: sha256.Sum256(k.Keys[i].SPKI)})
	}
	return r, nil
}

// answer is the file that the nodes of the next epoch hand out; its proof is beside it.
func (d *drill) answer() (file, proof string) {
	file = filepath.Join(d.Out, "answer.json")
	return file, file + ".tlog-proof"
}

// handOut has the nodes hand out a bundle, as soon as they read their files again.
func (d *drill) handOut(b, proof []byte) error {
	file, beside := d.answer()
	return errors.Join(durable.Replace(file, b, 0o644), durable.Replace(beside, proof, 0o644))
}
