package monitor

import (
	"context"
	"math/bits"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/fleetctl/fleetctl/auditlog/tile"
)

// edge is the right edge of a tree: at each level of tiles, the hashes of the
// last tile, which isn't full. The tree's root can be computed from it and, with
// the entries that follow, the root of every tree that continues this one.
type edge struct {
	size   uint64
	levels [][][32]byte // level 0 has the hashes of leaves
}

// root is the RFC 6962 root of the whole tree: its perfect subtrees, largest
// first, folded from the right.
func (e *edge) root() [32]byte {
	if e.size == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot())
	}
	type subtree struct {
		height int
		hash   [32]byte
	}
	var stack []subtree
	for l := len(e.levels) - 1; l >= 0; l-- {
		for _, h := range e.levels[l] {
			s := subtree{l * tile.Height, h}
			for len(stack) > 0 && stack[len(stack)-1].height == s.height {
				s = subtree{s.height + 1, tile.Parent(stack[len(stack)-1].hash, s.hash)}
				stack = stack[:len(stack)-1]
			}
			stack = append(stack, s)
		}
	}
	r := stack[len(stack)-1].hash
	for i := len(stack) - 2; i >= 0; i-- {
		r = tile.Parent(stack[i].hash, r)
	}
	return r
}

// valid says whether the levels are those of a tree of that size.
func (e *edge) valid() bool {
	if len(e.levels) > (bits.Len64(e.size)+tile.Height-1)/tile.Height {
		return false
	}
	for l := range 8 {
		have := 0
		if l < len(e.levels) {
			have = len(e.levels[l])
		}
		if uint64(have) != e.size>>(l*tile.Height)%width {
			return false
		}
	}
	return true
}

func (e *edge) clone() *edge {
	c := &edge{size: e.size, levels: make([][][32]byte, len(e.levels))}
	for i, l := range e.levels {
		c.levels[i] = append([][32]byte(nil), l...)
	}
	return c
}

func (e *edge) level(l int) *[][32]byte {
	for len(e.levels) <= l {
		e.levels = append(e.levels, nil)
	}
	return &e.levels[l]
}

// add takes the leaf hashes of the bundle at the edge, from the bundle's first
// entry on. It compares each tile that becomes full with what the log serves, and
// puts its root into the level above.
func (e *edge) add(ctx context.Context, s *Source, leaves [][32]byte, tiles *uint64) error {
	row := e.level(0)
	for i, h := range *row {
		if i >= len(leaves) || leaves[i] != h {
			return broken(tile.EntriesPath(e.size/width, width), "entry %d has changed since it was read before", e.size-uint64(len(*row))+uint64(i))
		}
	}
	e.size += uint64(len(leaves) - len(*row))
	*row = append((*row)[:0], leaves...)
	for l := 0; len(*e.level(l)) == width; l++ {
		full := e.levels[l]
		if l > 0 { // the reader of the bundle has compared level 0
			if err := compare(ctx, s, uint64(l), e.size>>((l+1)*tile.Height)-1, full); err != nil {
				return err
			}
			*tiles++
		}
		up := e.level(l + 1)
		*up = append(*up, tile.Root(full))
		e.levels[l] = e.levels[l][:0]
	}
	return nil
}

// compare demands that a tile has the hashes that its entries give.
func compare(ctx context.Context, s *Source, level, index uint64, want [][32]byte) error {
	have, err := s.tile(ctx, level, index, len(want))
	if err != nil {
		return err
	}
	for i := range want {
		if have[i] != want[i] {
			return broken(tile.Path(level, index, len(want)), "hash %d is not the one that the entries below it give", i)
		}
	}
	return nil
}

// edges compares the tiles at the right edge of the finished tree.
func (e *edge) edges(ctx context.Context, s *Source, tiles *uint64) error {
	for l := 1; l < len(e.levels); l++ {
		if len(e.levels[l]) == 0 {
			continue
		}
		if err := compare(ctx, s, uint64(l), e.size>>((l+1)*tile.Height), e.levels[l]); err != nil {
			return err
		}
		*tiles++
	}
	return nil
}
