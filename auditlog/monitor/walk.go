package monitor

import (
	"context"
	"runtime"
	"sync"

	"github.com/transparency-dev/merkle/rfc6962"
)

// Judge says what entries mean.
type Judge interface {
	// Read looks at an entry alone. It is called from several goroutines at
	// once and must keep nothing of leaf's bytes.
	Read(index uint64, leaf []byte) any
	// Take is told what Read made of each entry, in the log's order, and says
	// what is wrong with the entry itself and as a successor of those before.
	Take(index uint64, made any) []Finding
	// Overdue says what should have been logged by now. It is called at the end
	// of each walk, and gives the same finding for as long as its cause lasts.
	Overdue() []Finding
	// State is what Take has to remember, and Restore takes it back.
	State() string
	Restore(state string) error
}

// Finding is something wrong in a log whose tree is as it should be.
type Finding struct {
	Kind  string
	Index uint64 // of the entry that shows it
	Text  string
}

// walk reads entries from the edge on.
type walk struct {
	src   *Source
	judge Judge
	edge  *edge
	take  func([]Finding)

	workers  int
	progress func(done, total uint64)
	save     func() error                             // between bundles; may be nil
	hold     func(at uint64, hashes [][32]byte) error // is given the leaves' hashes in their order; may be nil

	entries, tiles, bytes uint64 // read in this walk
}

// bundle is a bundle as a worker has read it.
type bundle struct {
	first  uint64
	leaves [][32]byte
	made   []any // of the entries from the edge on
	bytes  uint64
	err    error
}

// to walks up to a tree's size. Bundles are read and judged on all cores, at most a
// few ahead of the one that is next in order, which bounds the memory.
func (w *walk) to(ctx context.Context, size uint64) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	workers := w.workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	type job struct {
		index uint64
		done  chan *bundle
	}
	jobs := make(chan job)
	order := make(chan chan *bundle, 2*workers)
	start := w.edge.size
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		defer close(jobs)
		defer close(order)
		for i := start / width; i*width < size; i++ {
			done := make(chan *bundle, 1)
			select {
			case order <- done:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- job{i, done}:
			case <-ctx.Done():
				return
			}
		}
	})
	for range workers {
		wg.Go(func() {
			for j := range jobs {
				j.done <- w.read(ctx, j.index, start, size)
			}
		})
	}
	for done := range order {
		var b *bundle
		select {
		case b = <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.next(ctx, b, size); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.edge.edges(ctx, w.src, &w.tiles)
}

// next takes the bundle that is next in order.
func (w *walk) next(ctx context.Context, b *bundle, size uint64) error {
	if b.err != nil {
		return b.err
	}
	from := w.edge.size
	if err := w.edge.add(ctx, w.src, b.leaves, &w.tiles); err != nil {
		return err
	}
	if w.hold != nil {
		if err := w.hold(from, b.leaves[from-b.first:]); err != nil {
			return err
		}
	}
	w.tiles, w.bytes = w.tiles+1, w.bytes+b.bytes
	for i, made := range b.made {
		w.take(w.judge.Take(from+uint64(i), made))
	}
	w.entries += uint64(len(b.made))
	if w.progress != nil {
		w.progress(w.edge.size, size)
	}
	if w.save != nil {
		return w.save()
	}
	return nil
}

// read reads a bundle and the tile over it. Entries before start were judged by
// an earlier walk; they are only compared.
func (w *walk) read(ctx context.Context, index, start, size uint64) *bundle {
	b := &bundle{first: index * width}
	n := int(min(width, size-b.first))
	entries, err := w.src.entries(ctx, index, n)
	if err != nil {
		b.err = err
		return b
	}
	b.leaves = make([][32]byte, n)
	for i, e := range entries {
		b.leaves[i] = [32]byte(rfc6962.DefaultHasher.HashLeaf(e))
		b.bytes += uint64(len(e))
	}
	if b.err = compare(ctx, w.src, 0, index, b.leaves); b.err != nil {
		return b
	}
	for i, e := range entries {
		if at := b.first + uint64(i); at >= start {
			b.made = append(b.made, w.judge.Read(at, e))
		}
	}
	return b
}
