//go:build unix

package tiled

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// filesOf are all files of a log's directory and of its guard.
func filesOf(t *testing.T, dir string) (list []string) {
	t.Helper()
	for _, root := range []string{dir, dir + ".guard"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				list = append(list, strings.TrimPrefix(path, dir))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestEachFileSpoilt deletes each file of a log, truncates it, and flips bits
// in it, and appends, also what is there already: no fork is ever signed, nothing
// is logged twice, and nothing acknowledged is lost once the file is back.
func TestEachFileSpoilt(t *testing.T) {
	newest, l := newTestLog(t)
	mustAppend(t, l, numbered("a", 260)...)
	mustAppend(t, l, numbered("b", 41)...)
	mustAppend(t, l, numbered("c", 7)...)
	entries := allEntries(t, l.Reader)
	refused, went := map[string]int{}, map[string]int{}
	for _, file := range filesOf(t, newest) {
		good, err := os.ReadFile(newest + file)
		if err != nil {
			t.Fatal(err)
		}
		spoilt := map[string][]byte{"deleted": nil}
		if len(good) > 0 {
			spoilt["truncated"] = good[:len(good)/2]
		}
		for i := range min(len(good), 4) {
			bad := bytes.Clone(good)
			bad[i*(len(good)-1)/3] ^= 1 << i
			spoilt[fmt.Sprintf("flipped bit %d", i)] = bad
		}
		for how, data := range spoilt {
			kind := strings.Fields(how)[0]
			dir := filepath.Join(t.TempDir(), "log")
			for _, part := range []string{"", ".guard", ".signed"} {
				copyPath(t, newest+part, dir+part)
			}
			if err := os.Remove(dir + file); err != nil {
				t.Fatal(err)
			}
			if data != nil {
				if err := os.WriteFile(dir+file, data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := len(signed(t, dir))
			if err := tryAppend(t, dir); err != nil {
				refused[kind]++
				if n := len(signed(t, dir)); n != before {
					t.Errorf("%s %s: refused (%v), and yet signed %d times", file, how, err, n-before)
				}
				replaceDir(t, newest, dir)
				replaceDir(t, newest+".guard", dir+".guard")
				if err := tryAppend(t, dir); err != nil {
					t.Errorf("%s %s: mended, and yet: %v", file, how, err)
				}
			} else {
				went[kind]++
			}
			assertNoFork(t, dir, append(append([][]byte(nil), entries...), []byte("new:1")))
		}
	}
	t.Logf("refused %v, went on in the one history %v, forks signed 0", refused, went)
	if refused["deleted"] == 0 || refused["flipped"] == 0 || went["flipped"] == 0 {
		t.Error("one of the outcomes never came")
	}
}

// tryAppend is an append from opening on.
func tryAppend(t *testing.T, dir string) error {
	l, err := Open(dir, testSigner(t, dir), testOptions)
	if err != nil {
		return err
	}
	at, err := l.Append(context.Background(), byteSlices([]string{"a7: again", "new:1", "b40: again", "c6: again"})...)
	if err == nil && (!at[0].Duplicate || !at[2].Duplicate || !at[3].Duplicate) {
		t.Errorf("logged twice: %+v", at)
	}
	return err
}

// TestTwoLogsFromOneBackup: the directory is restored twice, and both copies
// have the key's one guard, as they should.
func TestTwoLogsFromOneBackup(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, numbered("a", 5)...)
	twin := filepath.Join(t.TempDir(), "twin")
	copyPath(t, dir, twin)
	o := testOptions
	o.Guard = dir + ".guard"
	second, err := Open(twin, testSigner(t, dir), o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "b:1")
	_, err = second.Append(context.Background(), []byte("c:1"))
	wantRefusal(t, err, "fewer than the 6")
	mustAppend(t, l, "c:1")
	assertNoFork(t, dir, allEntries(t, l.Reader))
}

// TestTwoProcessesAppend has each add 20, or 500 with FLEETCTL_FULL=1.
func TestTwoProcessesAppend(t *testing.T) {
	each := 20
	if os.Getenv("FLEETCTL_FULL") == "1" {
		each = 500
	}
	dir, l := newTestLog(t)
	var wg sync.WaitGroup
	var outs []*bytes.Buffer
	for _, prefix := range []string{"a", "b"} {
		cmd, out := startChild(t, dir, prefix, each)
		outs = append(outs, out)
		wg.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %s: %v", prefix, err)
			}
		})
	}
	wg.Wait()
	entries := allEntries(t, l.Reader)
	n := acknowledged(t, outs[0], entries) + acknowledged(t, outs[1], entries)
	if n != 2*each || len(entries) != n {
		t.Errorf("%d acknowledged, %d in the log, want %d", n, len(entries), 2*each)
	}
	t.Logf("2 processes, %d entries each: %d acknowledged, none lost, %d signatures, no fork", each, n, len(signed(t, dir)))
	assertClean(t, l.Reader)
	assertNoFork(t, dir, entries)
}
