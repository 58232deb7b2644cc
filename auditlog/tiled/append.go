//go:build unix

package tiled

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Log adds entries. It holds nothing open between calls: any number of
// processes may have one, and the lock decides who adds.
type Log struct {
	*Reader
	signer note.Signer
	opts   Options
}

// Position is where an entry is.
type Position struct {
	Index     uint64 // counted from 0
	Duplicate bool   // an entry with the same key was there already; its bytes may differ, see [Reader.Entry]
}

// Open opens a log that [Init] made. The guard must be there; the log is
// checked against it before each time that it is added to.
func Open(dir string, signer note.Signer, o Options) (*Log, error) {
	r, err := OpenReader(dir)
	if err != nil {
		return nil, err
	}
	if signer.Name() != r.key.Name() || signer.KeyHash() != r.key.KeyHash() {
		return nil, strict.Errorf(dir, "is the log of key %s+%08x, the signer has %s+%08x", r.key.Name(), r.key.KeyHash(), signer.Name(), signer.KeyHash())
	}
	l := &Log{r, signer, o.withDefaults(dir)}
	if _, err := readGuard(l.guardPath(), r.key); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) guardPath() string { return filepath.Join(l.opts.Guard, guardName) }

// Append adds entries in their order and returns when a checkpoint that covers
// all of them is signed and durable. An entry whose key is in the log, or
// earlier among these, is not added again.
//
// After an error some entries may have been added nevertheless, without a
// checkpoint yet. Append them again: they are found by their keys.
func (l *Log) Append(ctx context.Context, leaves ...[]byte) ([]Position, error) {
	for i, leaf := range leaves {
		if len(leaf) == 0 || len(leaf) > MaxEntry {
			return nil, strict.Errorf("", "entry %d of %d has %d bytes; from 1 to %d are allowed", i+1, len(leaves), len(leaf), MaxEntry)
		}
	}
	if len(leaves) == 0 {
		return nil, strict.Errorf("", "there is no entry to add")
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	unlock, err := l.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()

	size, err := l.preflight(ctx)
	if err != nil {
		return nil, err
	}
	x, err := openIndex(filepath.Join(l.dir, indexName), l.opts.KeyOf)
	if err != nil {
		return nil, err
	}
	if err := x.catchUp(ctx, l.tree, size); err != nil {
		return nil, err
	}
	return l.place(ctx, x, leaves)
}

// place finds the entries that are there and adds the others.
func (l *Log) place(ctx context.Context, x *index, leaves [][]byte) ([]Position, error) {
	at := make([]Position, len(leaves))
	var fresh [][]byte
	var where []int          // the index of at, for each fresh one
	same := map[string]int{} // the index of at, for each key among them
	copies := map[int]int{}  // from one index of at to another
	for i, leaf := range leaves {
		key, err := x.key(leaf)
		if err != nil {
			return nil, err
		}
		n, found, err := x.find(ctx, l.tree, key)
		if err != nil {
			return nil, err
		}
		if found {
			at[i] = Position{n, true}
			continue
		}
		if j, again := same[key]; again && key != "" {
			copies[i] = j
			continue
		}
		same[key] = i
		fresh = append(fresh, leaf)
		where = append(where, i)
	}
	var need uint64
	for _, p := range at {
		need = max(need, p.Index)
	}
	added, err := l.integrate(ctx, fresh, need)
	if err != nil {
		return nil, err
	}
	for i, n := range added {
		at[where[i]] = Position{Index: n}
	}
	for i, j := range copies {
		at[i] = Position{at[j].Index, true}
	}
	state, err := l.tree.state()
	if err != nil {
		return nil, err
	}
	if err := x.catchUp(ctx, l.tree, state.Size); err != nil {
		return nil, err
	}
	return at, nil
}

// lock waits until no other process adds. Who waits holds the place of the next
// one meanwhile: a process that adds entry after entry would else take the lock
// again before anybody who waits for it looks.
func (l *Log) lock(ctx context.Context) (func(), error) {
	path := filepath.Join(l.opts.Guard, lockName)
	next, err := l.waitFor(ctx, path+".next")
	if err != nil {
		return nil, err
	}
	defer next()
	return l.waitFor(ctx, path)
}

func (l *Log) waitFor(ctx context.Context, path string) (func(), error) {
	for {
		unlock, err := durable.Lock(path)
		if !errors.Is(err, durable.ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, strict.Errorf(path, "another process holds the log: %v", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// preflight checks the directory against itself, the published checkpoint and
// the guard, before Tessera may touch it, and gives the tree's size.
func (l *Log) preflight(ctx context.Context) (uint64, error) {
	last, err := readGuard(l.guardPath(), l.key)
	if err != nil {
		return 0, err
	}
	published, err := l.published()
	if err != nil {
		return 0, err
	}
	if published != nil && published.Size > last.Size {
		return 0, strict.Errorf(l.guardPath(), "is older than the log: it knows of %d entries, the published checkpoint has %d", last.Size, published.Size).
			WithHint("%s", lostGuard(l.key))
	}
	state, err := l.tree.state()
	if err != nil {
		return 0, forked(l.guardPath(), last, err)
	}
	if state == nil {
		if last.Size == 0 {
			return 0, nil // nothing was ever signed but the empty tree
		}
		return 0, forked(l.guardPath(), last, errors.New("its state (.state/treeState) is missing, so that it would start anew"))
	}
	if err := l.tree.intact(ctx, state); err != nil {
		return 0, forked(l.guardPath(), last, err)
	}
	for _, older := range []*auditlog.Checkpoint{published, last} {
		if older == nil {
			continue
		}
		if err := l.tree.continues(ctx, older, state); err != nil {
			return 0, forked(l.guardPath(), last, err)
		}
	}
	return state.Size, nil
}
