//go:build unix

package tiled

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// bareAppend is what Tessera does alone, with our settings: open, add, wait for
// the checkpoint, close. No lock, no check, no guard, no index.
func bareAppend(dir string, signer note.Signer, leaves [][]byte) error {
	ctx := context.Background()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return err
	}
	o := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(uint(len(leaves)), 10*time.Millisecond).
		WithCheckpointInterval(100 * time.Millisecond).WithCheckpointRepublishInterval(0).WithGarbageCollectionInterval(0)
	a, shutdown, reader, err := tessera.NewAppender(ctx, driver, o)
	if err != nil {
		return err
	}
	await := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, time.Millisecond)
	futures := make([]tessera.IndexFuture, len(leaves))
	for i, leaf := range leaves {
		futures[i] = a.Add(ctx, tessera.NewEntry(leaf))
	}
	for _, f := range futures {
		if _, err := f(); err != nil {
			return err
		}
	}
	if _, _, err := await.Await(ctx, futures[len(futures)-1]); err != nil {
		return err
	}
	return shutdown(ctx)
}

// BenchmarkAppend interleaves ours and bare Tessera: the machine's moods hit
// both alike. The pause is for Tessera's interval between checkpoints, which
// neither is to be charged with.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir, l := newTestLog(b)
			bare := b.TempDir()
			var ours, theirs []time.Duration
			for i := 0; b.Loop(); i++ {
				leaves := make([][]byte, n)
				for k := range leaves {
					leaves[k] = fmt.Appendf(nil, "k%d-%d:%s", i, k, strings.Repeat("x", 300))
				}
				time.Sleep(110 * time.Millisecond)
				start := time.Now()
				if _, err := l.Append(context.Background(), leaves...); err != nil {
					b.Fatal(err)
				}
				ours = append(ours, time.Since(start))
				time.Sleep(110 * time.Millisecond)
				start = time.Now()
				if err := bareAppend(bare, testSigner(b, dir+".bare"), leaves); err != nil {
					b.Fatal(err)
				}
				theirs = append(theirs, time.Since(start))
			}
			median := func(list []time.Duration) float64 {
				slices.Sort(list)
				return float64(list[len(list)/2].Microseconds()) / 1000
			}
			b.ReportMetric(median(ours), "ms/ours")
			b.ReportMetric(median(theirs), "ms/tessera")
			b.ReportMetric(0, "ns/op")
		})
	}
}
