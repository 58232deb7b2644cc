package tile

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// tree has the hashes of each level of tiles, and the roots at every size.
type tree struct {
	rows  [][][32]byte
	roots [][]byte
	read  int // tiles
}

type stored []tlog.Hash

func (s stored) ReadHashes(at []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(at))
	for i, n := range at {
		list[i] = s[n]
	}
	return list, nil
}

func leaf(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

// grown is a tree of that size, made by another library.
func grown(tb testing.TB, size int) *tree {
	tb.Helper()
	t, hashes := &tree{rows: [][][32]byte{{}, {}, {}}, roots: [][]byte{nil}}, stored{}
	for i := range size {
		more, err := tlog.StoredHashes(int64(i), leaf(i), hashes)
		if err != nil {
			tb.Fatal(err)
		}
		hashes = append(hashes, more...)
		root, err := tlog.TreeHash(int64(i)+1, hashes)
		if err != nil {
			tb.Fatal(err)
		}
		t.roots = append(t.roots, root[:])
		for l := range t.rows {
			if n := i + 1; n%(1<<(8*l)) == 0 {
				t.rows[l] = append(t.rows[l], hashes[tlog.StoredHashIndex(8*l, int64(n>>(8*l))-1)])
			}
		}
	}
	return t
}

func (t *tree) tile(_ context.Context, level, index uint64, n int) ([][32]byte, error) {
	t.read++
	row := t.rows[level][index*Width:]
	return row[:n], nil
}

// TestProofsFromTilesVerify has another library's verifier judge proofs of trees
// with one, two and three levels of tiles.
func TestProofsFromTilesVerify(t *testing.T) {
	const most = 1<<16 + 300
	all := grown(t, most)
	h := rfc6962.DefaultHasher
	sizes := []int{1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 70, 1000, 40_000, 1 << 16, 1<<16 + 1, 1<<16 + 256, most}
	for _, size := range sizes {
		for _, at := range sizes {
			if at > size {
				continue
			}
			all.read = 0
			path, err := Inclusion(t.Context(), all.tile, uint64(at-1), uint64(size))
			if err != nil || proof.VerifyInclusion(h, uint64(at-1), uint64(size), h.HashLeaf(leaf(at-1)), slices(path), all.roots[size]) != nil {
				t.Errorf("entry %d of %d: %v", at-1, size, err)
			}
			if all.read > 6 {
				t.Errorf("entry %d of %d: %d tiles are read", at-1, size, all.read)
			}
			path, err = Consistency(t.Context(), all.tile, uint64(at), uint64(size))
			if err != nil || proof.VerifyConsistency(h, uint64(at), uint64(size), slices(path), all.roots[at], all.roots[size]) != nil {
				t.Errorf("from %d to %d: %v", at, size, err)
			}
		}
	}
	for name, err := range map[string]error{
		"an entry that is not in the tree": second(Inclusion(t.Context(), all.tile, 3, 3)),
		"a tree that shrinks":              second(Consistency(t.Context(), all.tile, 4, 3)),
	} {
		if err == nil {
			t.Errorf("%s: is proven", name)
		}
	}
}

func slices(list [][32]byte) [][]byte {
	var out [][]byte
	for _, h := range list {
		out = append(out, h[:])
	}
	return out
}

func second[T any](_ T, err error) error { return err }

func TestATileThatIsTooShortOrNotThereIsAnError(t *testing.T) {
	all := grown(t, 600)
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		read Reader
		says string
	}{
		"short": {func(ctx context.Context, level, index uint64, n int) ([][32]byte, error) {
			row, err := all.tile(ctx, level, index, n)
			return row[:n-1], err
		}, "tile/0/002.p/88: has 87 hashes, 88 are in the tree"},
		"long": {func(ctx context.Context, level, index uint64, n int) ([][32]byte, error) {
			return make([][32]byte, n+1), nil
		}, "tile/0/002.p/88: has 89 hashes, 88 are in the tree"},
		"gone": {func(context.Context, uint64, uint64, int) ([][32]byte, error) { return nil, gone }, "gone"},
	} {
		_, err := Inclusion(t.Context(), c.read, 599, 600)
		if err == nil || err.Error() != c.says {
			t.Errorf("%s: %v, want %s", name, err, c.says)
		}
	}
}
