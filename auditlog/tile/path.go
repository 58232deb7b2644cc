// Package tile knows how a log is laid out in files (C2SP tlog-tiles): their
// names, and which hashes of which tiles make a proof. It reads no files itself
// and verifies no signature.
package tile

import (
	"fmt"
)

// A tile has the hashes of one level of the tree over Height levels below it,
// Width at most; an entry bundle has as many entries.
const (
	Height = 8
	Width  = 1 << Height
)

// Checkpoint is the name of the file with the log's newest checkpoint.
const Checkpoint = "checkpoint"

// Path names the tile at a level of tiles, 0 over the entries. n is how many
// hashes it has in the tree: with fewer than Width it is a partial tile.
func Path(level, index uint64, n int) string {
	return fmt.Sprintf("tile/%d/%s", level, number(index, n))
}

// EntriesPath names an entry bundle that has n entries in the tree.
func EntriesPath(index uint64, n int) string {
	return "tile/entries/" + number(index, n)
}

// number writes an index in groups of three digits, all but the last one after
// an x, and the width of what is partial.
func number(index uint64, n int) string {
	s := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		s = fmt.Sprintf("x%03d/%s", index%1000, s)
	}
	if n < Width {
		s += fmt.Sprintf(".p/%d", n)
	}
	return s
}

// Hashes is how many hashes a tile has in a tree of that size: 0 if the tree
// doesn't have the tile.
func Hashes(level, index, size uint64) int {
	if level > 64/Height-1 {
		return 0
	}
	all := size >> (level * Height)
	if index > all/Width {
		return 0
	}
	return int(min(Width, all-index*Width))
}
