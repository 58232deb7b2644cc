//go:build unix

package tiled

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// tree reads Tessera's directory, which is a tree of C2SP tlog-tiles and, in
// .state, what Tessera keeps for itself.
type tree struct {
	origin string
	files  client.FileFetcher
}

func newTree(dir, origin string) *tree {
	return &tree{origin, client.FileFetcher{Root: filepath.Join(dir, logName)}}
}

// state is the tree that Tessera would go on from: at least as large as the
// one of the published checkpoint. It is nil where there is none.
func (t *tree) state() (*auditlog.Checkpoint, error) {
	path := filepath.Join(t.files.Root, ".state", "treeState")
	data, err := os.ReadFile(path)
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

// continues proves from the tiles that newer has all of older's entries.
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

// intact checks what Tessera builds upon without looking: that the tiles of
// the right edge have the root that the state says, and that the last entry
// bundle, which the next one starts with a copy of, has the entries of its
// tile. What lies left of it no new entry touches; proofs show its damage.
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
	hashes, err := client.FetchLeafHashes(ctx, t.files.ReadTile, first, width, head.Size)
	if err != nil {
		return err
	}
	bundle, err := t.bundle(ctx, first/layout.EntryBundleWidth, head.Size)
	if err != nil {
		return err
	}
	for i, want := range hashes {
		if !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(bundle.Entries[i]), want) {
			return strict.Errorf(t.files.Root, "entry %d is not the one that was logged", first+uint64(i))
		}
	}
	return nil
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

// bundle reads the n-th entry bundle of a tree, with all the entries that it
// has in a tree of that size, or more.
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

// collect removes partial tiles and bundles that a full one has replaced, if
// one of the entries just added filled a bundle. tlog-tiles allows it: a
// reader with an older checkpoint takes the full one. A run that was killed
// leaves its own to the next that fills a bundle.
func (t *tree) collect(added []uint64) error {
	filled := slices.ContainsFunc(added, func(n uint64) bool { return n%layout.EntryBundleWidth == layout.EntryBundleWidth-1 })
	if !filled {
		return nil
	}
	return filepath.WalkDir(filepath.Join(t.files.Root, "tile"), func(path string, d fs.DirEntry, err error) error {
		full, partial := strings.CutSuffix(path, ".p")
		if err != nil || !d.IsDir() || !partial {
			return err
		}
		if _, err := os.Stat(full); errors.Is(err, fs.ErrNotExist) {
			return fs.SkipDir
		} else if err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return fs.SkipDir
	})
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
