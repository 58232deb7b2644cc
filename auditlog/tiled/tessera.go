//go:build unix

package tiled

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// appendOptions are Tessera's settings for a run that adds n entries and ends.
// Tessera's defaults are for servers: a lone entry would wait 10 s.
func appendOptions(n int, signer *guardedSigner) *tessera.AppendOptions {
	return tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		// One batch, written as soon as the last of the entries was handed over.
		WithBatching(uint(max(n, 1)), time.Second).
		// The least that Tessera accepts. It doesn't replace a checkpoint that is
		// younger than this, so a second run must wait.
		WithCheckpointInterval(100 * time.Millisecond).
		// A checkpoint is made only when the tree has grown.
		WithCheckpointRepublishInterval(0).
		// Tessera's garbage collection would run on after the lock is released; see collect.
		WithGarbageCollectionInterval(0)
}

// byTessera adds the entries and waits for a checkpoint that covers them and the
// entry need. Tessera runs only during this call, so that nothing is signed after
// it and the lock can go to the next process.
func (l *Log) byTessera(ctx context.Context, leaves [][]byte, need uint64) ([]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	captureTalk()
	talked.clear()
	g := l.guardedSigner()
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	driver, err := posix.New(run, posix.Config{Path: l.tree.files.Root})
	if err != nil {
		return nil, err
	}
	appender, shutdown, _, err := tessera.NewAppender(run, driver, appendOptions(len(leaves), g))
	if err != nil {
		return nil, l.failed("opening the log", g, err)
	}
	at, err := add(run, appender, leaves)
	if err != nil {
		l.settleSoon(g)
		return nil, l.failed("adding to the log", g, err)
	}
	for _, n := range at {
		need = max(need, n)
	}
	if err := l.await(ctx, g, need); err != nil {
		l.settleSoon(g)
		return nil, l.failed("the entries are logged, but no checkpoint covers them yet", g, err)
	}
	if err := l.settle(ctx, g); err != nil {
		return nil, l.failed("closing the log", g, err)
	}
	if err := shutdown(run); err != nil {
		return nil, l.failed("closing the log", g, err)
	}
	return at, nil
}

// add queues all entries, then waits until they are on disk. It has no
// deadline, for the same reason that write(2) has none.
func add(ctx context.Context, a *tessera.Appender, leaves [][]byte) ([]uint64, error) {
	entries := make([]*tessera.Entry, len(leaves))
	parallel(len(leaves), func(from, to int) { // which hashes them
		for i := from; i < to; i++ {
			entries[i] = tessera.NewEntry(leaves[i])
		}
	})
	futures := make([]tessera.IndexFuture, len(leaves))
	for i, e := range entries {
		futures[i] = a.Add(ctx, e)
	}
	at := make([]uint64, len(leaves))
	for i, f := range futures {
		n, err := f()
		if err != nil {
			return nil, err
		}
		at[i] = n.Index
	}
	return at, nil
}

// await waits until a checkpoint covers entry n, or the guard refused it.
func (l *Log) await(ctx context.Context, g *guardedSigner, n uint64) error {
	signed, err := g.covering(ctx, n)
	if err != nil {
		return err
	}
	return l.appears(ctx, signed)
}

// appears waits until a checkpoint that was signed here is published. Its signature
// was verified when it was made.
func (l *Log) appears(ctx context.Context, signed *auditlog.Checkpoint) error {
	text := []byte(signed.Text() + "\n")
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		data, err := durable.ReadFile(l.checkpointPath())
		if err != nil && !errors.Is(err, fs.ErrNotExist) || bytes.HasPrefix(data, text) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// settle ends signing and waits until the last signed checkpoint is published: then
// Tessera has nothing left to write after the lock is released.
func (l *Log) settle(ctx context.Context, g *guardedSigner) error {
	signed := g.close()
	if signed == nil {
		return nil
	}
	return l.appears(ctx, signed)
}

// settleSoon is settle after a failure. The checkpoint may never be published then,
// so it doesn't wait long.
func (l *Log) settleSoon(g *guardedSigner) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.settle(ctx, g)
}

func (l *Log) guardedSigner() *guardedSigner {
	return &guardedSigner{Signer: l.signer, path: l.guardPath(), key: l.key, tree: l.tree, news: make(chan struct{}, 1)}
}

// failed makes the error: the guard's refusal, if there was one, otherwise what
// Tessera returned and what it logged.
func (l *Log) failed(doing string, g *guardedSigner, err error) error {
	if r := g.refusal(); r != nil {
		return r
	}
	why := err.Error()
	if more := talked.String(); more != "" {
		why = fmt.Sprintf("%v (%s)", err, more)
	}
	return strict.Errorf(l.dir, "%s: %s", doing, why).
		WithHint("Run it again: entries that were added are found and not added twice.")
}
