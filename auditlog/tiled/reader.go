//go:build unix

package tiled

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Reader reads a log's directory. It needs no key and waits for no lock.
type Reader struct {
	dir    string
	key    *auditlog.Verifier
	policy *auditlog.Policy // the log's own key, no witnesses
	tree   *tree
}

// OpenReader opens a log for reading.
func OpenReader(dir string) (*Reader, error) {
	key, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	policy, err := auditlog.ParsePolicy(dir, fmt.Appendf(nil, "log %s\nquorum none\n", key))
	if err != nil {
		return nil, err
	}
	return &Reader{dir, key, policy, newTree(dir, key.Name())}, nil
}

// VKey is the log's key, as policies take it.
func (r *Reader) VKey() string { return r.key.String() }

// Checkpoint is the published checkpoint with all its signatures, of which the
// log's is verified.
func (r *Reader) Checkpoint() (*auditlog.Checkpoint, error) {
	c, err := r.published()
	if err == nil && c == nil {
		return nil, &noCheckpoint{strict.Errorf(r.checkpointPath(), "does not exist").WithHint("Add an entry, or add the last one again: its old place is found and the checkpoint made.")}
	}
	return c, err
}

// ErrNoCheckpoint is the error of a log that has published no checkpoint yet.
var ErrNoCheckpoint = errors.New("the log has no checkpoint")

type noCheckpoint struct{ err *strict.Error }

func (e *noCheckpoint) Error() string        { return e.err.Error() }
func (e *noCheckpoint) Unwrap() error        { return e.err }
func (e *noCheckpoint) Is(target error) bool { return target == ErrNoCheckpoint }

func (r *Reader) checkpointPath() string {
	return filepath.Join(r.tree.files.Root, layout.CheckpointPath)
}

// published is Checkpoint, but nil where there is none.
func (r *Reader) published() (*auditlog.Checkpoint, error) {
	path := r.checkpointPath()
	c, err := r.kept(path)
	var refused *strict.Error
	if errors.As(err, &refused) {
		return nil, strict.Errorf(path, "the published checkpoint is damaged: %v", err).
			WithHint("Remove the file: it is made again when an entry is added, if the guard agrees.")
	}
	return c, err
}

// kept reads a checkpoint that this log signed, nil where there is none.
func (r *Reader) kept(path string) (*auditlog.Checkpoint, error) {
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := auditlog.ParseCheckpoint(path, data)
	if err == nil {
		_, err = r.policy.VerifyCheckpoint(c)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Entry gives the bytes of an entry under the published checkpoint, verified.
func (r *Reader) Entry(ctx context.Context, index uint64) ([]byte, error) {
	leaf, _, err := r.entry(ctx, index)
	return leaf, err
}

// Find gives the place of the first entry under the published checkpoint that
// shares a key with leaf: the first of leaf's keys that any entry has. It writes
// nothing and reads no guard. An entry that it finds has the key; if it finds none,
// only [Log.Append] can tell for sure.
func (r *Reader) Find(ctx context.Context, keys Keys, leaf []byte) (uint64, bool, error) {
	list, err := keys.of(leaf)
	for _, k := range list {
		if n, found, err := r.FindKey(ctx, keys, k); found || err != nil {
			return n, found, err
		}
	}
	return 0, false, err
}

// FindKey is Find of a single key.
func (r *Reader) FindKey(ctx context.Context, keys Keys, key string) (uint64, bool, error) {
	c, err := r.Checkpoint()
	if err != nil {
		return 0, false, err
	}
	if err := keys.check(); err != nil {
		return 0, false, err
	}
	x := openIndex(r, "", keys)
	defer x.close()
	n, found, err := x.findWithout(ctx, c, sha256.Sum256([]byte(key)))
	return n, found && n < c.Size, err
}

// Prove gives the proof (C2SP tlog-proof) that an entry is under the published
// checkpoint. It verifies the proof first.
func (r *Reader) Prove(ctx context.Context, index uint64) ([]byte, error) {
	_, p, err := r.entry(ctx, index)
	if err != nil {
		return nil, err
	}
	return p.Marshal(), nil
}

func (r *Reader) entry(ctx context.Context, index uint64) ([]byte, *auditlog.Proof, error) {
	c, err := r.Checkpoint()
	if err != nil {
		return nil, nil, err
	}
	return r.entryUnder(ctx, index, c)
}

func (r *Reader) entryUnder(ctx context.Context, index uint64, c *auditlog.Checkpoint) ([]byte, *auditlog.Proof, error) {
	if index >= c.Size {
		return nil, nil, strict.Errorf(r.dir, "has no entry %d under its checkpoint of %d entries", index, c.Size)
	}
	bundle, err := r.tree.bundle(ctx, index/layout.EntryBundleWidth, c.Size)
	if err != nil {
		return nil, nil, err
	}
	leaf := bundle.Entries[index%layout.EntryBundleWidth]
	b, err := client.NewProofBuilder(ctx, c.Size, r.tree.files.ReadTile)
	if err != nil {
		return nil, nil, err
	}
	list, err := b.InclusionProof(ctx, index)
	if err != nil {
		return nil, nil, err
	}
	p := &auditlog.Proof{Index: index, Checkpoint: c}
	if p.Hashes, err = arrays(list); err != nil {
		return nil, nil, err
	}
	// A damaged tile or bundle is found here and not by whoever gets the proof.
	if _, err := r.policy.Verify(leaf, p); err != nil {
		return nil, nil, strict.Errorf(r.dir, "entry %d or the tiles above it are damaged: %v", index, err).
			WithHint("Put back the damaged files from a copy of the directory; never older checkpoint or state files.")
	}
	return leaf, p, nil
}
