//go:build unix

package tiled

import (
	"context"
	"runtime"
	"sync"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// catchUp reads the entries that are not in the index yet, on all cores, and
// demands that together with those before they give the tree's root. Every so often
// it keeps what it has read, so that after an interruption it goes on from there.
func (x *index) catchUp(ctx context.Context, tree *auditlog.Checkpoint) error {
	x.bind(ctx, tree)
	from := x.head().Size
	if from == tree.Size {
		return nil
	}
	hashes, err := x.tree.rangeAt(ctx, from, tree.Size)
	if err != nil {
		return err
	}
	few := tree.Size-from <= layout.EntryBundleWidth
	var records []record
	group := uint64(runtime.GOMAXPROCS(0))
	for n := from; n < tree.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		first := n / layout.EntryBundleWidth
		list := make([]*indexed, min(group, (tree.Size-1)/layout.EntryBundleWidth-first+1))
		var wg sync.WaitGroup
		for i := range list {
			wg.Go(func() { list[i] = x.read(ctx, first+uint64(i), n, tree.Size) })
		}
		wg.Wait()
		for _, b := range list {
			if b.err != nil {
				return b.err
			}
			for _, h := range b.hashes {
				if err := hashes.Append(h, nil); err != nil {
					return err
				}
			}
			records = append(records, b.records...)
		}
		n = hashes.End()
		if x.progress != nil && !few {
			x.progress(n, tree.Size)
		}
		if n-from < chunk && n < tree.Size {
			continue
		}
		root, err := hashes.GetRootHash(nil)
		if err != nil {
			return err
		}
		at := &auditlog.Checkpoint{Origin: tree.Origin, Size: n, Root: [32]byte(root)}
		if n == tree.Size && at.Root != tree.Root {
			return strict.Errorf(x.tree.files.Root, "its entries don't have the root of its tree").
				WithHint("Put back the damaged files from a copy of the directory; never older checkpoint or state files.")
		}
		if err := x.add(records, at); err != nil {
			return err
		}
		records, from = records[:0], n
	}
	return nil
}

// indexed is what the index needs to know of a bundle's entries.
type indexed struct {
	hashes  [][]byte
	records []record
	err     error
}

// read reads a bundle's entries from the entry from on.
func (x *index) read(ctx context.Context, number, from, size uint64) *indexed {
	entries, hashes, err := x.tree.logged(ctx, number, size)
	if err != nil {
		return &indexed{err: err}
	}
	first := max(from, number*layout.EntryBundleWidth)
	skip := first - number*layout.EntryBundleWidth
	r := &indexed{hashes: hashes[skip:]}
	for i, leaf := range entries[skip:] {
		keys, err := x.keysOf(leaf)
		if err != nil {
			return &indexed{err: err}
		}
		for _, k := range keys {
			r.records = append(r.records, record{k, first + uint64(i)})
		}
	}
	return r
}

// rangeAt gives the perfect subtrees of the tree's first entries.
func (t *tree) rangeAt(ctx context.Context, entries, size uint64) (*compact.Range, error) {
	f := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	if entries == 0 {
		return f.NewEmptyRange(0), nil
	}
	// It asks for the larger tree's tiles: partial ones of the smaller size may
	// be gone.
	nodes, err := client.FetchRangeNodes(ctx, entries, func(ctx context.Context, level, index uint64, _ uint8) ([]byte, error) {
		return t.files.ReadTile(ctx, level, index, layout.PartialTileSize(level, index, size))
	})
	if err != nil {
		return nil, err
	}
	return f.NewRange(0, entries, nodes)
}
