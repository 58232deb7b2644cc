//go:build unix

package publish

import (
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Kind says which entries belong in a log and what each is about. The zero value is a
// fleet's log, of bundles and of how ceremonies ended.
type Kind struct {
	Keys  tiled.Keys
	Known func(leaf []byte) error // nil for an entry that belongs in the log
}

func (k Kind) keys() tiled.Keys {
	if k.Known == nil {
		return entryKeys
	}
	return k.Keys
}

func (k Kind) known(leaf []byte) error {
	if k.Known != nil {
		return k.Known(leaf)
	}
	if !known(leaf) {
		return strict.Errorf("", "what is to be logged is neither a bundle nor how a ceremony ended").
			WithHint("Of an evidence package not the file is logged but its ending: how the ceremony ended.")
	}
	return nil
}

// entryKeys name what an entry is about, so that the log has one entry of each: an
// epoch's artifact is logged once, however often it is signed again; a ceremony
// ends once; and a ceremony that was aborted has released nothing.
var entryKeys = tiled.Keys{Scheme: "fleetctl-2", Of: func(leaf []byte) []string {
	if b, err := bundle.ParseAny("", leaf); err == nil {
		a := b.About()
		keys := []string{bundleKey(a.Namespace, a.Epoch, a.Digest[:])}
		if a.Ceremony != "" {
			keys = append(keys, "released "+a.Ceremony)
		}
		return keys
	}
	if l, err := evidence.ParseLeaf("", leaf); err == nil {
		keys := []string{"ending " + l.Ceremony}
		if l.Ending == evidence.EndingAborted {
			keys = append(keys, "released "+l.Ceremony)
		}
		return keys
	}
	return tiled.BytesAlone.Of(leaf)
}}

// Leaf is what is logged of a file: a bundle's own bytes, or how the ceremony
// of an evidence package ended.
func Leaf(file string, data []byte) ([]byte, error) {
	if evidence.Detect(data) != evidence.TypeEvidence {
		_, err := bundle.ParseAny(file, data)
		return data, err
	}
	l, err := evidence.PackageLeaf(file, data)
	if err != nil {
		return nil, err
	}
	return l.Marshal(), nil
}

// known says whether an entry is of a kind that belongs in the log.
func known(leaf []byte) bool {
	if _, err := bundle.ParseAny("", leaf); err == nil {
		return true
	}
	_, err := evidence.ParseLeaf("", leaf)
	return err == nil
}

// artifactOf is the digest of the artifact that an entry is a bundle of, nil
// where the entry is no bundle.
func artifactOf(entry []byte) *[32]byte {
	b, err := bundle.ParseAny("", entry)
	if err != nil {
		return nil
	}
	d := b.About().Digest
	return &d
}

// otherEntry describes the entry that keeps leaf out of the log, because both are
// about the same thing.
func otherEntry(index uint64, have, leaf []byte) error {
	old, _ := evidence.ParseLeaf("", have)
	l, _ := evidence.ParseLeaf("", leaf)
	a, b := artifactOf(have), artifactOf(leaf)
	switch {
	case l != nil && a != nil:
		return strict.Errorf("", "entry %d of the log is the bundle that the ceremony %s released; this package says that it was aborted", index, l.Ceremony).
			WithHint("what was released was not aborted. Keep both: one of them is not what happened")
	case old != nil && b != nil:
		return strict.Errorf("", "entry %d of the log says that the ceremony %s was aborted; this is a bundle that it released", index, old.Ceremony).
			WithHint("what was aborted released nothing. Keep both: one of them is not what happened")
	case a != nil && b != nil && *a != *b:
		return strict.Errorf("", "entry %d of the log is another artifact that the same ceremony released", index).
			WithHint("a ceremony releases one artifact. Keep both bundles: together they are the proof")
	case a != nil && b != nil:
		return strict.Errorf("", "entry %d of the log is this epoch's artifact in another bundle, with other signatures", index).
			WithHint("an artifact is logged once: use the bundle that was logged")
	case old == nil || l == nil:
		return strict.Errorf("", "entry %d of the log is about the same, and is not the one that was to be logged", index).
			WithHint("Where both are of the log's kind, they contradict each other: keep both. Else the log's index is wrong: stop, and keep a copy of the log and of its guard.")
	case old.Ending == l.Ending && old.Head == l.Head:
		return strict.Errorf("", "entry %d of the log is this ending of %s, with other signatures", index, l.Ceremony).
			WithHint("an ending is logged once: use the package that was logged, which holds what had been signed by then")
	}
	return strict.Errorf("", "entry %d of the log says that the ceremony %s ended %s with %x; this package says %s with %x", index, l.Ceremony, old.Ending, old.Head, l.Ending, l.Head).
		WithHint("a ceremony ends once. Keep both packages: one of them is not what happened")
}
