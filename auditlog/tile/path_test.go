package tile

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/transparency-dev/tessera/api/layout"
)

// TestFilesAreNamedAsTesseraNamesThem compares with the names of the log that
// writes the files.
func TestFilesAreNamedAsTesseraNamesThem(t *testing.T) {
	if Checkpoint != layout.CheckpointPath || Width != layout.TileWidth || Height != layout.TileHeight {
		t.Error("another layout")
	}
	r := rand.New(rand.NewPCG(1, 2))
	indexes := []uint64{0, 1, 255, 999, 1000, 1001, 999_999, 1_000_000, 1_234_067, math.MaxUint64 / Width}
	for range 1000 {
		indexes = append(indexes, r.Uint64()>>r.IntN(64))
	}
	for _, i := range indexes {
		for _, n := range []int{1, 7, 255, 256} {
			level := uint64(r.IntN(8))
			if got, want := Path(level, i, n), layout.TilePath(level, i, uint8(n%Width)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if got, want := EntriesPath(i, n), layout.EntriesPath(i, uint8(n%Width)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

func TestATileHasTheHashesThatAreInTheTree(t *testing.T) {
	for _, c := range []struct {
		level, index, size uint64
		want               int
	}{
		{0, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 255, 255}, {0, 0, 256, 256}, {0, 1, 256, 0}, {0, 1, 257, 1}, {0, 2, 257, 0},
		{1, 0, 255, 0}, {1, 0, 256, 1}, {1, 0, 65535, 255}, {1, 0, 65536, 256}, {1, 1, 65536 + 256, 1}, {2, 0, 65536, 1},
		{7, 0, math.MaxUint64, 255}, {7, 1, math.MaxUint64, 0}, {8, 0, math.MaxUint64, 0}, {math.MaxUint64, 0, math.MaxUint64, 0},
		{0, math.MaxUint64, math.MaxUint64, 0}, {0, math.MaxUint64 / Width, math.MaxUint64, 255},
	} {
		if got := Hashes(c.level, c.index, c.size); got != c.want {
			t.Errorf("tile %d/%d of a tree of %d has %d hashes, want %d", c.level, c.index, c.size, got, c.want)
		}
	}
}
