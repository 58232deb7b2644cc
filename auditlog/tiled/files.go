//go:build unix

package tiled

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// treeFiles reads the files of a tree of C2SP tlog-tiles.
type treeFiles struct{ Root string }

// ReadCheckpoint reads the checkpoint that is published.
func (f treeFiles) ReadCheckpoint(context.Context) ([]byte, error) {
	return durable.ReadFile(filepath.Join(f.Root, layout.CheckpointPath))
}

// ReadTile reads a tile that has at least p hashes, 0 for all.
func (f treeFiles) ReadTile(_ context.Context, level, index uint64, p uint8) ([]byte, error) {
	return f.read(func(p uint8) string { return layout.TilePath(level, index, p) }, p)
}

// ReadEntryBundle reads a bundle that has at least p entries, 0 for all.
func (f treeFiles) ReadEntryBundle(_ context.Context, index uint64, p uint8) ([]byte, error) {
	return f.read(func(p uint8) string { return layout.EntriesPath(index, p) }, p)
}

// read takes the full one where the partial one was removed.
func (f treeFiles) read(path func(p uint8) string, p uint8) ([]byte, error) {
	data, err := durable.ReadFile(filepath.Join(f.Root, path(p)))
	if p > 0 && errors.Is(err, fs.ErrNotExist) {
		return durable.ReadFile(filepath.Join(f.Root, path(0)))
	}
	return data, err
}
