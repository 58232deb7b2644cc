package tiled

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// TestFullDisk lets a log's disk fill up in the middle of an append, again and
// again with a little more room each time, and then gives it room.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("can't mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	// What Tessera says of it belongs into our errors, and not on stderr.
	var said bytes.Buffer
	out := log.Writer()
	log.SetOutput(&said)
	defer log.SetOutput(out)
	// The guard is on the same disk; what the key signed is noted elsewhere.
	dir := filepath.Join(disk, "log")
	if err := Init(dir, testVKey(t), testOptions); err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(t.TempDir(), "notes")
	open := func(timeout time.Duration) *Log {
		o := testOptions
		o.Timeout = timeout
		l, err := Open(dir, testSigner(t, notes), o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	mustAppend(t, open(await.Longest), numbered("a", 10)...)
	filler := filepath.Join(disk, "filler")
	failed, went, acknowledged, told := 0, 0, 10, 0
	for room := int64(0); room < 80<<10; room += 4 << 10 {
		fill(t, disk, filler, room)
		var err error
		full := false
		// Of a checkpoint that can't be written Tessera only says so, and nobody
		// learns of it before the time is up. What is merely slow gets more.
		for timeout := 500 * time.Millisecond; timeout < await.Longest; timeout *= 4 {
			_, err = open(timeout).Append(context.Background(), []byte(fmt.Sprintf("r%d:%s", room, strings.Repeat("x", 8<<10))))
			if full = err != nil && strings.Contains(err.Error(), "no space left on device"); full || err == nil {
				break
			}
		}
		if err != nil {
			failed++
			if full {
				told++
			}
		} else {
			went, acknowledged = went+1, acknowledged+1
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	l := open(await.Longest)
	mustAppend(t, l, "last:1")
	entries := allEntries(t, l.Reader)
	if len(entries) < acknowledged+1 {
		t.Errorf("%d entries, %d were acknowledged", len(entries), acknowledged+1)
	}
	if failed == 0 || went == 0 {
		t.Errorf("%d appends failed, %d went: the disk was never both", failed, went)
	}
	if said.Len() > 0 {
		t.Errorf("on stderr: %s", &said)
	}
	if told != failed {
		t.Errorf("%d of %d errors say that the disk is full", told, failed)
	}
	t.Logf("%d appends on a full disk, %d failed; %d entries, %d acknowledged, %d signatures, no fork", failed+went, failed, len(entries), acknowledged+1, len(signed(t, notes)))
	assertIndexIsWhole(t, dir, l)
	assertClean(t, l.Reader)
	assertNoFork(t, notes, entries)
}

// fill leaves so many bytes of room.
func fill(t *testing.T, disk, filler string, room int64) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	n := int64(s.Bavail)*s.Bsize - room
	if err := os.WriteFile(filler, make([]byte, max(0, n)), 0o600); err != nil {
		t.Fatal(err)
	}
}
