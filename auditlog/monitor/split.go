package monitor

import (
	"context"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tile"
)

// split makes a split view of two checkpoints. If the larger one's tree is served,
// it has the root of that tree at the smaller one's size, and the proof.
func (p *pass) split(a, b *auditlog.Checkpoint) (*auditlog.SplitView, error) {
	if a.Size > b.Size {
		a, b = b, a
	}
	s := &auditlog.SplitView{Smaller: a, Larger: b}
	if a.Size == b.Size || a.Size == 0 {
		return s, nil
	}
	// The log may now show the smaller tree and nothing of the larger one, which
	// was walked over before.
	if p.proveHeld(s) {
		return s, nil
	}
	root, hashes, err := p.log.rootAt(p.ctx, a.Size, b.Size)
	if p.ctx.Err() != nil {
		return nil, p.ctx.Err()
	}
	if err != nil {
		return s, nil // not served: the checkpoints are kept without it
	}
	s.Root, s.Hashes = root, hashes
	return s, nil
}

// rootAt is the root that a tree of that size had at an earlier one, with the
// consistency proof from there.
func rootAt(ctx context.Context, read tile.Reader, earlier, size uint64) (root [32]byte, hashes [][32]byte, err error) {
	e, err := edgeAt(ctx, read, earlier, size)
	if err != nil {
		return root, nil, err
	}
	hashes, err = tile.Consistency(ctx, read, earlier, size)
	if err != nil {
		return root, nil, err
	}
	return e.root(), hashes, nil
}

// edgeAt is the right edge that the tree had at an earlier size. It asks for the
// tiles that the larger tree has, because a log needn't keep the partial tiles of
// an earlier size.
func edgeAt(ctx context.Context, read tile.Reader, earlier, size uint64) (*edge, error) {
	e := &edge{size: earlier}
	for l := uint64(0); earlier>>(l*tile.Height) > 0; l++ {
		have := earlier >> (l * tile.Height)
		index, k := have/width, have%width
		row := e.level(int(l))
		if k == 0 {
			continue
		}
		list, err := read(ctx, l, index, tile.Hashes(l, index, size))
		if err != nil {
			return nil, err
		}
		*row = list[:k]
	}
	return e, nil
}
