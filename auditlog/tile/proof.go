package tile

import (
	"context"
	"fmt"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Reader reads the first n hashes of a tile. Its errors are returned unchanged.
type Reader func(ctx context.Context, level, index uint64, n int) ([][32]byte, error)

// Inclusion reads from the tiles the hashes that lead from an entry to the root
// of a tree of that size (RFC 6962, section 2.1.1). It doesn't check that they
// do: the caller knows the root.
func Inclusion(ctx context.Context, read Reader, index, size uint64) ([][32]byte, error) {
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, err
	}
	return hashes(ctx, read, nodes, size)
}

// Consistency reads from the tiles the hashes that show that the tree of the newer
// size begins with the older one's entries (RFC 6962, section 2.1.2). It doesn't
// check that they do: the caller knows both roots.
func Consistency(ctx context.Context, read Reader, older, newer uint64) ([][32]byte, error) {
	nodes, err := proof.Consistency(older, newer)
	if err != nil {
		return nil, err
	}
	return hashes(ctx, read, nodes, newer)
}

// hashes reads a proof's nodes in a tree of that size. It reads each tile once.
func hashes(ctx context.Context, read Reader, nodes proof.Nodes, size uint64) ([][32]byte, error) {
	type place struct{ level, index uint64 }
	tiles := map[place][][32]byte{}
	list := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		// A node of the tree stands over 2^height hashes of the tile, from first on.
		height := id.Level % Height
		at := place{uint64(id.Level / Height), id.Index >> (Height - height)}
		row, known := tiles[at]
		if !known {
			n := Hashes(at.level, at.index, size)
			var err error
			if row, err = read(ctx, at.level, at.index, n); err != nil {
				return nil, err
			}
			if len(row) != n {
				return nil, fmt.Errorf("%s: has %d hashes, %d are in the tree", Path(at.level, at.index, n), len(row), n)
			}
			tiles[at] = row
		}
		first := int((id.Index << height) % Width)
		h, err := over(row, first, 1<<height)
		if err != nil {
			return nil, fmt.Errorf("%s: node %v: %w", Path(at.level, at.index, len(row)), id, err)
		}
		list[i] = h[:]
	}
	list, err := nodes.Rehash(list, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, err
	}
	path := make([][32]byte, len(list))
	for i, h := range list {
		path[i] = [32]byte(h)
	}
	return path, nil
}

// over is the root over n hashes of a tile, from first on.
func over(row [][32]byte, first, n int) ([32]byte, error) {
	if first+n > len(row) {
		return [32]byte{}, fmt.Errorf("it needs the hashes up to %d of %d", first+n, len(row))
	}
	return Root(row[first : first+n]), nil
}

// Root is the root over the hashes of a perfect subtree, 1, 2, 4, up to Width of
// them.
func Root(hashes [][32]byte) [32]byte {
	row := append([][32]byte(nil), hashes...)
	for len(row) > 1 {
		for i := range len(row) / 2 {
			row[i] = Parent(row[2*i], row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	return row[0]
}

// Parent is the hash of a node with these children.
func Parent(left, right [32]byte) [32]byte {
	return [32]byte(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}
