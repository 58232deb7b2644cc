//go:build unix

package tiled

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

// TestAGuardCutOffInItsLastHead cuts the guard at each byte of its newest tree
// head. If power failed before the head was whole, it wasn't signed, and the log
// goes on. If the log was rolled back too, nothing is signed.
func TestAGuardCutOffInItsLastHead(t *testing.T) {
	newest, l := newTestLog(t)
	mustAppend(t, l, "a:1")
	older := filepath.Join(t.TempDir(), "older")
	copyPath(t, newest, older)
	copyPath(t, newest+".signed", older+".signed")
	whole := size(newest + ".guard/guard")
	mustAppend(t, l, "b:1")
	full := size(newest + ".guard/guard")
	for n := whole; n < full; n++ {
		dir := filepath.Join(t.TempDir(), "log")
		copyPath(t, newest, dir)
		copyPath(t, newest+".guard", dir+".guard")
		copyPath(t, older+".signed", dir+".signed") // the new head's signature was never made
		restore("log/checkpoint")(t, dir, older)
		if err := os.Truncate(dir+".guard/guard", n); err != nil {
			t.Fatal(err)
		}
		again := openTestLog(t, dir)
		if at := mustAppend(t, again, "c:1", "b:2"); at[0].Index != 2 || at[1].Index != 1 {
			t.Errorf("cut off at %d: %+v", n-whole, at)
		}
		assertNoFork(t, dir, allEntries(t, again.Reader))
		if n == whole {
			continue // nothing tells that there was a newer head
		}
		replaceDir(t, older, dir)
		replaceDir(t, newest+".guard", dir+".guard")
		if err := os.Truncate(dir+".guard/guard", n); err != nil {
			t.Fatal(err)
		}
		before := len(signed(t, dir))
		_, err := openTestLog(t, dir).Append(context.Background(), []byte("x:1"))
		wantRefusal(t, err, "is not the log's")
		if len(signed(t, dir)) != before {
			t.Error("and yet it signed")
		}
	}
}

// TestTheGuardStaysSmall: it is written anew before it grows large.
func TestTheGuardStaysSmall(t *testing.T) {
	if await.RaceDetector {
		t.Skip("one goroutine, and 3,000 heads: go test without -race signs them")
	}
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1")
	path := l.guardPath()
	text := mustRead(t, path)
	most := int64(0)
	for n := uint64(2); n < 3000; n++ {
		g, err := readGuard(path, l.key)
		if err != nil {
			t.Fatal(err)
		}
		head := *g.head
		head.Size = n
		if err := g.add(path, l.key, &head); err != nil {
			t.Fatal(err)
		}
		if g, err := readGuard(path, l.key); err != nil || g.head.Size != n {
			t.Fatalf("%+v, %v", g, err)
		}
		most = max(most, size(path))
	}
	if most > maxGuard || most < maxGuard/2 {
		t.Errorf("it had up to %d bytes", most)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "b:1")
	assertNoFork(t, dir, allEntries(t, l.Reader))
}

func FuzzGuard(f *testing.F) {
	_, l := newTestLog(f)
	mustAppend(f, l, "a:1")
	text := mustRead(f, l.guardPath())
	f.Add(text)
	f.Add(text[:len(text)-9])
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "guard")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := readGuard(path, l.key)
		if err != nil {
			return
		}
		record := guardRecord(g.head)
		if whole := data[:len(data)-len(g.torn)]; !bytes.HasSuffix(whole, record) || !bytes.HasPrefix(data, guardText(l.key, g.head)[:len(whole)-len(record)]) && bytes.Count(whole, []byte("\n")) == 4 {
			t.Errorf("%q is read as size %d", data, g.head.Size)
		}
	})
}
