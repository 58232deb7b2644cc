//go:build unix

package tiled

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// tree reads Tessera's directory, which has C2SP tlog-tiles and, in .state,
// Tessera's own files.
type tree struct {
	origin string
	files  treeFiles
}

func newTree(dir, origin string) *tree {
	return &tree{origin, treeFiles{Root: filepath.Join(dir, logName)}}
}

// state is the tree from which Tessera would go on, at least as large as that of
// the published checkpoint. It is nil if there is none.
func (t *tree) state() (*auditlog.Checkpoint, error) {
	path := filepath.Join(t.files.Root, ".state", "treeState")
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s struct {
		Size uint64   `strict:"size"`
		Root [32]byte `strict:"root,base64"`
	}
	if err := strict.DecodeJSON(path, data, 1024, &s); err != nil {
		return nil, err
	}
	return &auditlog.Checkpoint{Origin: t.origin, Size: s.Size, Root: s.Root}, nil
}

// continues verifies, with a proof from the tiles, that newer has all of older's
// entries.
func (t *tree) continues(ctx context.Context, older, newer *auditlog.Checkpoint) error {
	var hashes [][32]byte
	if older.Size > 0 && older.Size < newer.Size {
		b, err := client.NewProofBuilder(ctx, newer.Size, t.files.ReadTile)
		if err != nil {
			return err
		}
		list, err := b.ConsistencyProof(ctx, older.Size, newer.Size)
		if err != nil {
			return err
		}
		if hashes, err = arrays(list); err != nil {
			return err
		}
	}
	return auditlog.VerifyConsistency(older, newer, hashes)
}

// intact checks what Tessera relies on without checking it: that the tiles of the
// right edge give the root that the state names, and that the last entry bundle, of
// which the next one starts as a copy, has the entries of its tile. New entries
// don't touch what lies left of the edge; damage there shows when a proof is made.
func (t *tree) intact(ctx context.Context, head *auditlog.Checkpoint) error {
	root, err := t.root(ctx, head.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(root, head.Root[:]) {
		return strict.Errorf(t.files.Root, "the tiles of the tree's right edge don't have the root of its %d entries", head.Size)
	}
	width := head.Size % layout.EntryBundleWidth
	if width == 0 {
		return nil
	}
	first := head.Size - width
	_, _, err = t.logged(ctx, first/layout.EntryBundleWidth, head.Size)
	return err
}

// logged reads the n-th entry bundle and the hashes of its entries. The tile above
// must have the hash of each entry.
func (t *tree) logged(ctx context.Context, n, size uint64) (entries, hashes [][]byte, err error) {
	data, err := t.files.ReadTile(ctx, 0, n, layout.PartialTileSize(0, n, size))
	if err != nil {
		return nil, nil, err
	}
	var tile api.HashTile
	if err := tile.UnmarshalText(data); err != nil {
		return nil, nil, err
	}
	b, err := t.bundle(ctx, n, size)
	if err != nil {
		return nil, nil, err
	}
	first := n * layout.EntryBundleWidth
	width := min(size-first, layout.EntryBundleWidth)
	if uint64(len(tile.Nodes)) < width {
		return nil, nil, strict.Errorf(t.files.Root, "tile %d of level 0 has %d hashes, %d are in the tree", n, len(tile.Nodes), width)
	}
	for i, leaf := range b.Entries[:width] {
		h := rfc6962.DefaultHasher.HashLeaf(leaf)
		if !bytes.Equal(h, tile.Nodes[i]) {
			return nil, nil, strict.Errorf(t.files.Root, "entry %d is not the one that was logged", first+uint64(i)).
				WithHint("Put back the damaged files from a copy of the directory; never older checkpoint or state files.")
		}
		hashes = append(hashes, h)
	}
	return b.Entries[:width], hashes, nil
}

func (t *tree) root(ctx context.Context, size uint64) ([]byte, error) {
	h := rfc6962.DefaultHasher
	if size == 0 {
		return h.EmptyRoot(), nil
	}
	nodes, err := client.FetchRangeNodes(ctx, size, t.files.ReadTile)
	if err != nil {
		return nil, err
	}
	r, err := (&compact.RangeFactory{Hash: h.HashChildren}).NewRange(0, size, nodes)
	if err != nil {
		return nil, err
	}
	return r.GetRootHash(nil)
}

// bundle reads the n-th entry bundle, with at least all the entries that it has in
// a tree of that size.
func (t *tree) bundle(ctx context.Context, n, size uint64) (*api.EntryBundle, error) {
	b, err := client.GetEntryBundle(ctx, t.files.ReadEntryBundle, n, size)
	if err != nil {
		return nil, err
	}
	want := min(size-n*layout.EntryBundleWidth, layout.EntryBundleWidth)
	if uint64(len(b.Entries)) < want {
		return nil, strict.Errorf(t.files.Root, "entry bundle %d has %d entries, %d are in the tree", n, len(b.Entries), want)
	}
	return &b, nil
}

// collect removes the partial tiles and bundles that have become full since the
// tree had the size from. tlog-tiles allows it: a reader with an older checkpoint
// takes the full one.
func (t *tree) collect(from, size uint64) error {
	for level := uint64(0); size>>(level*layout.TileHeight) > 0; level++ {
		width := (level + 1) * layout.TileHeight // of a full tile, in bits
		for n := from >> width; n < size>>width; n++ {
			paths := []string{layout.TilePath(level, n, 0)}
			if level == 0 {
				paths = append(paths, layout.EntriesPath(n, 0))
			}
			for _, full := range paths {
				full = filepath.Join(t.files.Root, full)
				if _, err := durable.Stat(full); errors.Is(err, fs.ErrNotExist) {
					continue
				} else if err != nil {
					return err
				}
				if err := durable.RemoveAll(full + ".p"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// emptyHead is the tree without entries.
func emptyHead(origin string) *auditlog.Checkpoint {
	return &auditlog.Checkpoint{Origin: origin, Root: [32]byte(rfc6962.DefaultHasher.EmptyRoot())}
}

func arrays(list [][]byte) ([][32]byte, error) {
	hashes := make([][32]byte, len(list))
	for i, h := range list {
		if len(h) != len(hashes[i]) {
			return nil, fmt.Errorf("a tile has a hash of %d bytes", len(h))
		}
		hashes[i] = [32]byte(h)
	}
	return hashes, nil
}
