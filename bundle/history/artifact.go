package history

import (
	"github.com/fleetctl/fleetctl/bundle"
)

// anArtifact has what the history needs of a key set or a notice.
type anArtifact struct {
	set              *bundle.KeySet // nil for a notice
	namespace, fleet string
	kind             string
	epoch            uint64
	digest, previous [32]byte
	void, retired    bool
}

func readArtifact(file string, data []byte) (*anArtifact, error) {
	if formatOf(data) == bundle.KeySetFormat {
		s, err := bundle.ParseKeySet(file, data)
		if err != nil {
			return nil, err
		}
		return aboutKeySet(s), nil
	}
	n, err := bundle.ParseNotice(file, data)
	if err != nil {
		return nil, err
	}
	return aboutNotice(n), nil
}

func aboutBundle(b *bundle.Bundle) *anArtifact {
	if b.Notice != nil {
		return aboutNotice(b.Notice)
	}
	return aboutKeySet(b.KeySet)
}

func aboutKeySet(s *bundle.KeySet) *anArtifact {
	a := &anArtifact{set: s, namespace: s.Namespace, fleet: s.Fleet, kind: "fleet-keys", epoch: s.Epoch, digest: s.Digest()}
	copy(a.previous[:], s.Previous) // 32 bytes, or none at epoch 1
	return a
}

func aboutNotice(n *bundle.Notice) *anArtifact {
	a := &anArtifact{
		namespace: n.Namespace, fleet: n.Fleet, kind: "fleet-retirement", epoch: n.Epoch,
		digest: n.Digest(), previous: n.Previous, void: n.Voids(), retired: n.Retires(),
	}
	if a.void {
		a.kind = "void"
	}
	return a
}

// loadArtifact reads an artifact again, from its own file or out of its bundle.
func (c *collector) loadArtifact(a *artifact) (*anArtifact, error) {
	data, err := c.archive.Load(a.ref)
	if err != nil {
		return nil, err
	}
	if !a.inBundle {
		return readArtifact("artifact", data)
	}
	b, err := bundle.ParseAny("bundle", data)
	if err != nil {
		return nil, err
	}
	return aboutBundle(b), nil
}

// loadStatement reads a statement again: from the record, from its own file, or out
// of its bundle.
func (c *collector) loadStatement(e *entry) (*bundle.Statement, error) {
	if e.ref&recorded != 0 {
		return c.o.Seen.load(e.ref &^ recorded)
	}
	data, err := c.archive.Load(e.ref)
	if err != nil {
		return nil, err
	}
	if formatOf(data) != bundle.BundleFormat {
		return bundle.ParseServed("statement", data)
	}
	b, err := bundle.ParseAny("bundle", data)
	if err != nil {
		return nil, err
	}
	for _, s := range b.Statements {
		if s.Key == c.o.Keys[e.key].Key {
			return s.Statement, nil
		}
	}
	return nil, errChanged
}
