package monitor

import (
	"context"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tile"
)

// split puts two checkpoints together and, where the larger one's tree is
// served, which root that has at the smaller one's size.
func (p *pass) split(a, b *auditlog.Checkpoint) (*auditlog.SplitView, error) {
	if a.Size > b.Size {
		a, b = b, a
	}
	s := &auditlog.SplitView{Smaller: a, Larger: b}
	if a.Size == b.Size || a.Size == 0 {
		return s, nil
	}
	// What the log shows now can be the smaller tree, which has nothing of the
	// larger one; that one was walked over before.
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

// edgeAt is the right edge that the tree had at an earlier size. The tiles are
// asked for as the larger tree has them: partial ones of the earlier size need
// not be there.
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
