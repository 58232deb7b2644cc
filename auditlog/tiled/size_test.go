//go:build unix

package tiled

import (
	"runtime"
	"testing"
)

// TestAnEntryCostsALargeLogNoMoreMemory adds one to a log of 1,000 entries and to
// one of 40,000. What is allocated, garbage included, also bounds what is read.
func TestAnEntryCostsALargeLogNoMoreMemory(t *testing.T) {
	var took [2]uint64
	for i, size := range []int{1000, 40_000} {
		_, l := newTestLog(t)
		mustAppend(t, l, numbered("k", size)...)
		mustAppend(t, l, "first:1")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		at := mustAppend(t, l, "one:1")
		runtime.ReadMemStats(&after)
		if at[0].Index != uint64(size)+1 {
			t.Fatalf("got %+v", at)
		}
		took[i] = after.TotalAlloc - before.TotalAlloc
		if at := mustAppend(t, l, "k7: again"); at[0] != (Position{7, true, "k7"}) {
			t.Errorf("got %+v", at)
		}
	}
	t.Logf("%d KiB in a log of 1,000 entries, %d KiB in one of 40,000", took[0]>>10, took[1]>>10)
	if took[1] > took[0]+took[0]/2 || took[1] > 4<<20 {
		t.Errorf("%d bytes in a log of 1,000 entries, %d in one of 40,000", took[0], took[1])
	}
}
