package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// holds asks that dir has exactly these files: no temporary one is left.
func holds(t *testing.T, dir string, want ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the directory has %q, want %q", got, want)
	}
}

func content(t *testing.T, path, want string, mode fs.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != want {
		t.Errorf("has %q, want %q: %v", b, want, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != mode {
		t.Errorf("mode %v, want %v: %v", st.Mode(), mode, err)
	}
}

func TestCreateWritesContentAndModeAndNothingElse(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o644, 0o400} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := Create(path, []byte("one"), mode); err != nil {
			t.Fatal(err)
		}
		content(t, path, "one", mode)
		holds(t, dir, "f")
	}
	dir := t.TempDir()
	if err := Create(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	content(t, filepath.Join(dir, "empty"), "", 0o600)
}

func TestCreateRefusesWhatExistsAndLeavesItAlone(t *testing.T) {
	for name, create := range map[string]func(string, []byte, fs.FileMode) error{"Create": Create, "createNamed": Temp("").createNamed, "createInPlace": createInPlace} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, f := range []string{"f", "dangling", "sub"} {
				err := create(filepath.Join(dir, f), []byte("new"), 0o600)
				if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), filepath.Join(dir, f)) {
					t.Errorf("%s: %v", f, err)
				}
			}
			content(t, path, "old", 0o640)
			holds(t, dir, "dangling", "f", "sub")
		})
	}
}

func TestOfManyWhoCreateOneWins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	create := []func(string, []byte, fs.FileMode) error{Create, Temp("").createNamed, Temp(filepath.Join(t.TempDir(), "temp")).createNamed}
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = create[i%len(create)](path, bytes.Repeat([]byte{byte('a' + i)}, 1000), 0o600) })
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		if err == nil && won >= 0 || err != nil && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%d: %v, after %d", i, err, won)
		}
		if err == nil {
			won = i
		}
	}
	if won < 0 {
		t.Fatal("none won")
	}
	content(t, path, strings.Repeat(string(rune('a'+won)), 1000), 0o600)
	holds(t, dir, "f")
}

func TestFailuresLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{"Create": Create, "createNamed": Temp("").createNamed, "Replace": Replace} {
		if err := write(filepath.Join(dir, "missing", "f"), []byte("x"), 0o600); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s in a missing directory: %v", name, err)
		}
		if err := write(filepath.Join(dir, strings.Repeat("x", 300)), []byte("x"), 0o600); err == nil {
			t.Errorf("%s takes an over-long name", name)
		}
	}
	holds(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(filepath.Join(dir, "sub"), []byte("x"), 0o600); err == nil {
		t.Error("Replace replaces a directory")
	}
	holds(t, dir, "sub")
}

func TestReplaceShowsReadersTheOldOrTheNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	// Two contents of one byte each, so that any mixture shows.
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<15)
	if err := Replace(path, a, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				got, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
					t.Errorf("read %d bytes: %v", len(got), err)
					return
				}
			}
		})
	}
	for i := range 100 {
		if err := Replace(path, [][]byte{b, a}[i%2], 0o600); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	wg.Wait()
	if err := Replace(path, []byte("last"), 0o644); err != nil {
		t.Fatal(err)
	}
	content(t, path, "last", 0o644)
	holds(t, dir, "f")
}

func TestReplaceReplacesALinkAndNotItsTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Skip(err)
	}
	if err := Replace(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	content(t, target, "old", 0o600)
	content(t, link, "new", 0o600)
}

func TestSyncDirTellsOfAMissingDirectory(t *testing.T) {
	if err := SyncDir(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Skip("directories can't be synced here")
	}
}

func TestAppendAddsToWhatIsThereAndMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Append(path, []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to a file that isn't there: %v", err)
	}
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Append(path, []byte("b")), Append(path, []byte("c"))); err != nil {
		t.Fatal(err)
	}
	content(t, path, "abc", 0o600)
}

func TestLinesAreAppendedWholeToWholeLines(t *testing.T) {
	for name, c := range map[string]struct{ before, want string }{
		"no file":                       {"", "two\n"},
		"whole lines":                   {"zero\none\n", "zero\none\ntwo\n"},
		"a line that was cut off":       {"zero\non", "zero\ntwo\n"},
		"half a line alone":             {"on", "two\n"},
		"a hole before a line":          {"zero\non\x00\x00\x00e\n", "zero\ntwo\n"},
		"a hole over the end of a line": {"zero\n\x00\x00one\nmore\n", "zero\ntwo\n"},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if c.before != "" {
			if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := AppendLines(path, []byte("two\n"), 0o600); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Run(name, func(t *testing.T) { content(t, path, c.want, 0o600) })
	}
}
