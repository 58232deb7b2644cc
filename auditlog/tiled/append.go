//go:build unix

package tiled

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
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
	// integrate adds entries to the tree and has a checkpoint of it signed and
	// published that covers them and the entry need. Tessera does that.
	integrate func(ctx context.Context, leaves [][]byte, need uint64) ([]uint64, error)
}

// Position is where an entry is.
type Position struct {
	Index     uint64 // counted from 0
	Duplicate bool   // an entry with the same key was there already; its bytes may differ, see [Reader.Entry]
	Key       string // of a duplicate: the key that both have
}

// Open opens a log that [Init] made. The guard must be there; each time before an
// entry is added, the log is checked against it.
func Open(dir string, signer note.Signer, o Options) (*Log, error) {
	r, err := OpenReader(dir)
	if err != nil {
		return nil, err
	}
	if signer.Name() != r.key.Name() || signer.KeyHash() != r.key.KeyHash() {
		return nil, strict.Errorf(dir, "is the log of key %s+%08x, the signer has %s+%08x", r.key.Name(), r.key.KeyHash(), signer.Name(), signer.KeyHash())
	}
	l := &Log{Reader: r, signer: signer, opts: o.withDefaults(dir)}
	l.integrate = l.byTessera
	if err := l.opts.Keys.check(); err != nil {
		return nil, err
	}
	if _, err := readGuard(l.guardPath(), r.key); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) guardPath() string { return filepath.Join(l.opts.Guard, guardName) }

// Append adds entries in their order and returns when a checkpoint that covers
// all of them is signed and durable. It doesn't add an entry that shares a key with
// one in the log, or with an earlier one of these.
//
// After an error some entries may still have been added, without a checkpoint yet.
// Append them again: they are found by their keys.
func (l *Log) Append(ctx context.Context, leaves ...[]byte) ([]Position, error) {
	for i, leaf := range leaves {
		if len(leaf) == 0 || len(leaf) > maxEntry {
			return nil, strict.Errorf("", "entry %d of %d has %d bytes; from 1 to %d are allowed", i+1, len(leaves), len(leaf), maxEntry)
		}
	}
	if len(leaves) == 0 {
		return nil, strict.Errorf("", "there is no entry to add")
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()

	head, published, err := l.preflight(ctx)
	if err != nil {
		return nil, err
	}
	x := openIndex(l.Reader, l.opts.Guard, l.opts.Keys)
	defer x.close()
	x.progress = l.opts.Reading
	return l.place(ctx, x, head, published, leaves)
}

// place finds the entries that are there and adds the others.
func (l *Log) place(ctx context.Context, x *index, head *auditlog.Checkpoint, published uint64, leaves [][]byte) ([]Position, error) {
	p, err := newPlacing(l.opts.Keys, leaves)
	if err != nil {
		return nil, err
	}
	found, err := x.find(ctx, head, p.digests())
	if err != nil {
		return nil, err
	}
	need := p.sort(found)
	if len(p.fresh) == 0 && need < published {
		return p.positions(nil), nil
	}
	added, err := l.addIndexed(ctx, x, head, p, need)
	if err != nil {
		return nil, err
	}
	return p.positions(added), nil
}

// addIndexed adds the fresh entries to the log and then to the index. Their places
// are known beforehand, so it writes their keys while the log adds them.
func (l *Log) addIndexed(ctx context.Context, x *index, head *auditlog.Checkpoint, p *placing, need uint64) ([]uint64, error) {
	end := head.Size + uint64(len(p.fresh))
	var next *prepared
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		if len(p.fresh) > 0 {
			next, failed = x.prepare(p.records(head.Size), end)
		}
	})
	added, err := l.integrate(ctx, p.fresh, need)
	wg.Wait()
	if err != nil || len(added) == 0 {
		return added, err
	}
	state, err := l.tree.state()
	if err != nil {
		return nil, err
	}
	for i, n := range added {
		if n != head.Size+uint64(i) || state.Size != end {
			return nil, l.unfinished("not in their order", fmt.Errorf("the one at place %d of those added to %d is entry %d", i, head.Size, n))
		}
	}
	if err := l.tree.collect(head.Size, end); err != nil {
		return nil, l.unfinished("partial tiles can't be removed", err)
	}
	if failed == nil {
		failed = x.take(next, state)
	}
	// If the index was found to be damaged, the next run makes it again.
	if failed != nil && !isDamaged(failed) {
		return nil, l.unfinished("the index can't be kept", failed)
	}
	return added, nil
}

func (l *Log) unfinished(doing string, err error) error {
	return strict.Errorf(l.dir, "the entries are logged, but %s: %v", doing, err).
		WithHint("Run it again: entries that were added are found and not added twice.")
}

// lock waits until no other process adds entries. Whoever waits holds a second
// lock, that of the next in line: otherwise a process that adds entry after entry
// would take the lock again before a waiting one notices that it is free.
func (l *Log) lock(ctx context.Context) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	path := filepath.Join(l.opts.Guard, lockName)
	next, err := l.waitFor(ctx, path+".next")
	if err != nil {
		return nil, err
	}
	defer next()
	unlock, err := l.waitFor(ctx, path)
	if err != nil {
		return nil, err
	}
	// Temporary files that a killed process has left are removed: nobody else
	// writes here now.
	for _, folder := range []string{l.dir, l.opts.Guard} {
		if err := durable.Temp(folder).Sweep(); err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
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

// preflight checks, before Tessera may touch the directory, that it agrees with
// itself, with the published checkpoint and with the guard. It gives the tree and
// the number of its entries that are published.
func (l *Log) preflight(ctx context.Context) (tree *auditlog.Checkpoint, published uint64, err error) {
	file, err := readGuard(l.guardPath(), l.key)
	if err != nil {
		return nil, 0, err
	}
	last := file.head
	shown, err := l.published()
	if err != nil {
		return nil, 0, err
	}
	if shown == nil {
		shown = emptyHead(l.key.Name())
	}
	if last.Size > shown.Size {
		// Whoever wrote that head was killed, or the disk refused it, before it was
		// signed: it may be in memory alone.
		if err := durable.Settle(l.guardPath(), 2); err != nil {
			return nil, 0, err
		}
	}
	if shown.Size > last.Size {
		return nil, 0, strict.Errorf(l.guardPath(), "is older than the log: it knows of %d entries, the published checkpoint has %d", last.Size, shown.Size).
			WithHint("%s", lostGuard(l.key))
	}
	state, err := l.tree.state()
	if err != nil {
		return nil, 0, forked(l.guardPath(), last, err)
	}
	if state == nil {
		if last.Size == 0 { // nothing was ever signed but the empty tree
			empty := emptyHead(l.key.Name())
			return empty, 0, file.mend(l.guardPath(), l.key, empty)
		}
		return nil, 0, forked(l.guardPath(), last, errors.New("its state (.state/treeState) is missing, so Tessera would start a new tree"))
	}
	if err := l.tree.intact(ctx, state); err != nil {
		return nil, 0, forked(l.guardPath(), last, err)
	}
	for _, older := range []*auditlog.Checkpoint{shown, last} {
		if err := l.tree.continues(ctx, older, state); err != nil {
			return nil, 0, forked(l.guardPath(), last, err)
		}
	}
	return state, shown.Size, file.mend(l.guardPath(), l.key, state)
}
