package monitor

import (
	"context"
	"errors"

	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/fleetctl/fleetctl/auditlog"
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

func (t *tiles) rootAt(ctx context.Context, earlier, size uint64) (root [32]byte, hashes [][32]byte, err error) {
	fetch := func(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
		n := int(partial)
		if n == 0 {
			n = width
		}
		data, _, err := t.src.part(ctx, func(w uint8) string { return layout.TilePath(level, index, w) }, n, maxTile)
		return data, err
	}
	e, err := t.edgeAt(ctx, earlier, size)
	if err != nil {
		return root, nil, err
	}
	b, err := client.NewProofBuilder(ctx, size, fetch)
	if err != nil {
		return root, nil, err
	}
	list, err := b.ConsistencyProof(ctx, earlier, size)
	if err != nil {
		return root, nil, err
	}
	for _, h := range list {
		if len(h) != 32 {
			return root, nil, errors.New("a tile has a hash that is none")
		}
		hashes = append(hashes, [32]byte(h))
	}
	return e.root(), hashes, nil
}

// edgeAt is the right edge that the tree had at an earlier size. The tiles are
// asked for as the larger tree has them: partial ones of the earlier size need
// not be there.
func (t *tiles) edgeAt(ctx context.Context, earlier, size uint64) (*edge, error) {
	e := &edge{size: earlier}
	for l := 0; earlier>>(l*layout.TileHeight) > 0; l++ {
		have, all := earlier>>(l*layout.TileHeight), size>>(l*layout.TileHeight)
		index, k := have/width, have%width
		row := e.level(l)
		if k == 0 {
			continue
		}
		list, err := t.src.tile(ctx, uint64(l), index, int(min(width, all-index*width)))
		if err != nil {
			return nil, err
		}
		*row = list[:k]
	}
	return e, nil
}
