//go:build unix

package tiled

import (
	"context"
	"path/filepath"

	"github.com/transparency-dev/tessera/client"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// witnessedName is the file of the newest checkpoint that a quorum has cosigned.
// The published checkpoint may be newer and still wait for its witnesses; with
// this one, entries that were witnessed before still have a proof that says so.
const witnessedName = "witnessed"

// Consistency makes from the tiles the proof that the tree of the newer size
// begins with the older one's entries. It doesn't check the proof: the caller knows
// both roots.
func (r *Reader) Consistency(ctx context.Context, older, newer uint64) ([][32]byte, error) {
	if older == 0 || older >= newer {
		return nil, nil
	}
	b, err := client.NewProofBuilder(ctx, newer, r.tree.files.ReadTile)
	if err != nil {
		return nil, err
	}
	list, err := b.ConsistencyProof(ctx, older, newer)
	if err != nil {
		return nil, err
	}
	return arrays(list)
}

// Witnessed is the newest checkpoint that was kept with a quorum's cosignatures, or
// nil. The log's signature on it is verified.
func (r *Reader) Witnessed() (*auditlog.Checkpoint, error) {
	return r.kept(filepath.Join(r.dir, witnessedName))
}

// ProveUnder is Prove under another checkpoint of this log than the published one:
// an older one, or one with more cosignatures.
func (r *Reader) ProveUnder(ctx context.Context, index uint64, c *auditlog.Checkpoint) ([]byte, error) {
	_, p, err := r.entryUnder(ctx, index, c)
	if err != nil {
		return nil, err
	}
	return p.Marshal(), nil
}

// Keep stores the cosignatures of the published checkpoint, so that readers and
// the next run find them; witnessed says that they are a quorum. If the log has
// grown since, a checkpoint is kept only with a quorum. Keep needs the guard's lock
// but not the log's key.
func (r *Reader) Keep(ctx context.Context, o Options, c *auditlog.Checkpoint, witnessed bool) error {
	if _, err := r.policy.VerifyCheckpoint(c); err != nil {
		return err
	}
	l := &Log{Reader: r, opts: o.withDefaults(r.dir)}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := r.Checkpoint()
	if err != nil {
		return err
	}
	if now.Text() == c.Text() {
		// The log's own signature line stays as it was published. The folder is
		// served, so the temporary file is made in the one above.
		if err := durable.Temp(r.dir).Replace(r.checkpointPath(), now.With(c.Signatures...).Marshal(), 0o644); err != nil {
			return err
		}
	}
	last, err := r.Witnessed()
	if err != nil || !witnessed || last != nil && last.Size > c.Size {
		return err
	}
	if last != nil && last.Text() == c.Text() {
		c = last.With(c.Signatures...)
	}
	return durable.Replace(filepath.Join(r.dir, witnessedName), c.Marshal(), 0o644)
}
