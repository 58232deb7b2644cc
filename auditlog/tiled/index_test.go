//go:build unix

package tiled

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// indexFiles are the paths of a log's runs, and of its manifest.
func indexFiles(tb testing.TB, dir string) (runs []string, manifest string) {
	tb.Helper()
	runs, err := filepath.Glob(filepath.Join(dir, indexDir, "*", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	list := manifestsIn(dir + ".guard")
	if len(list) != 1 {
		tb.Fatalf("there are the manifests %v", list)
	}
	return runs, filepath.Join(dir+".guard", list[0])
}

// newIndexedLog is a log of 301 entries with several runs.
func newIndexedLog(tb testing.TB) (string, *Log) {
	tb.Helper()
	dir, l := newTestLog(tb)
	mustAppend(tb, l, numbered("k", 260)...)
	mustAppend(tb, l, numbered("m", 30)...)
	mustAppend(tb, l, numbered("n", 11)...)
	if runs, _ := indexFiles(tb, dir); len(runs) != 3 {
		tb.Fatalf("the index has the runs %v; three were wanted", runs)
	}
	return dir, l
}

// asBefore demands that entries of each run are found, that a new one is added
// once, and that the index is then as it would have been.
func asBefore(t *testing.T, dir string, l *Log) {
	t.Helper()
	at := mustAppend(t, l, "k1: again", "n10: again", "new:1", "m0: again", "k259: again")
	if want := []Position{{1, true, "k1"}, {300, true, "n10"}, {301, false, ""}, {260, true, "m0"}, {259, true, "k259"}}; !reflect.DeepEqual(at, want) {
		t.Errorf("got %+v, want %+v", at, want)
	}
	if at := mustAppend(t, l, "new:2"); at[0] != (Position{301, true, "new"}) {
		t.Errorf("the new entry again: %+v", at[0])
	}
	assertIndexIsWhole(t, dir, l)
}

// assertIndexIsWhole reads all of the index, and compares it with the entries.
func assertIndexIsWhole(tb testing.TB, dir string, l *Log) {
	tb.Helper()
	entries := allEntries(tb, l.Reader)
	want := map[[32]byte]uint64{}
	for i, e := range entries {
		p, err := newPlacing(testOptions.Keys, [][]byte{e})
		if err != nil {
			tb.Fatal(err)
		}
		for _, d := range p.digests() {
			if _, ok := want[d]; !ok {
				want[d] = uint64(i)
			}
		}
	}
	x := openIndex(l.Reader, dir+".guard", testOptions.Keys)
	defer x.close()
	if x.head().Size != uint64(len(entries)) {
		tb.Errorf("the index is of %d entries, the log has %d", x.head().Size, len(entries))
	}
	for i := range x.runs {
		f, err := x.run(i)
		if err != nil {
			tb.Fatal(err)
		}
		if err := merge([]*runFile{f}, nil, func(r record) error {
			if n, ok := want[r.key]; !ok || n != r.entry {
				tb.Errorf("%x is said to be entry %d, and is %d, %v", r.key, r.entry, n, ok)
			}
			delete(want, r.key)
			return nil
		}); err != nil {
			tb.Error(err)
		}
	}
	if len(want) > 0 {
		tb.Errorf("%d keys are not in the index", len(want))
	}
	if runs, _ := indexFiles(tb, dir); len(runs) != len(x.runs) {
		tb.Errorf("there are the files %v of %d runs", runs, len(x.runs))
	}
}

func mustRead(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// TestAnAlteredIndexLogsNothingTwice alters each byte of an index's files in
// turn, one bit of it.
func TestAnAlteredIndexLogsNothingTwice(t *testing.T) {
	dir, l := newIndexedLog(t)
	good := filepath.Join(t.TempDir(), "good")
	copyPath(t, dir, good)
	copyPath(t, dir+".guard", good+".guard")
	runs, manifest := indexFiles(t, dir)
	tried := 0
	for _, path := range append(runs, manifest) {
		data := mustRead(t, path)
		step := max(1, len(data)/41) | 1
		for i := 0; i < len(data); i += step {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			tried++
			// All of them are there: nothing is added, so the log stays as it is.
			at, err := l.Append(context.Background(), byteSlices([]string{"k1: again", "m3: again", "n10: again", "k259: again"})...)
			if err != nil {
				t.Fatalf("%s, byte %d: %v", path, i, err)
			}
			for _, p := range at {
				if !p.Duplicate {
					t.Fatalf("%s, byte %d: logged a second time: %+v", path, i, at)
				}
			}
			if c := mustCheckpoint(t, l); c.Size != 301 {
				t.Fatalf("%s, byte %d: the log has %d entries", path, i, c.Size)
			}
			replaceDir(t, filepath.Join(good, indexDir), filepath.Join(dir, indexDir))
			replaceDir(t, good+".guard", dir+".guard")
		}
	}
	t.Logf("%d alterations, none logged anything twice", tried)
	asBefore(t, dir, l)
}

func TestIndexIsMadeAgain(t *testing.T) {
	runs := func(change func(path string) error) func(string) error {
		return func(dir string) error {
			list, _ := indexFiles(t, dir)
			for _, path := range list {
				if err := change(path); err != nil {
					return err
				}
			}
			return nil
		}
	}
	manifest := func(change func(path string) error) func(string) error {
		return func(dir string) error {
			_, path := indexFiles(t, dir)
			return change(path)
		}
	}
	lines := func(change func([]string) []string) func(string) error {
		return manifest(rewrite(func(s string) string { return strings.Join(change(strings.SplitAfter(s, "\n")), "") }))
	}
	for name, spoil := range map[string]func(dir string) error{
		"all lost": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, indexDir)), removeManifests(dir))
		},
		"the directory lost":       func(dir string) error { return os.RemoveAll(filepath.Join(dir, indexDir)) },
		"the manifest lost":        manifest(os.Remove),
		"runs lost":                runs(os.Remove),
		"runs empty":               runs(func(p string) error { return os.Truncate(p, 0) }),
		"runs torn":                runs(func(p string) error { return os.Truncate(p, size(p)/2) }),
		"runs of zeroes":           runs(rewrite(func(s string) string { return strings.Repeat("\x00", len(s)) })),
		"runs of junk":             runs(rewrite(func(s string) string { return strings.Repeat("\xff", len(s)) })),
		"manifest empty":           manifest(func(p string) error { return os.Truncate(p, 0) }),
		"manifest torn":            manifest(func(p string) error { return os.Truncate(p, size(p)-1) }),
		"manifest of junk":         manifest(rewrite(func(string) string { return "\x00\xff{\n\n" })),
		"manifest of another log":  manifest(rewrite(func(s string) string { return strings.Replace(s, "log fleet", "log other", 1) })),
		"keys of another scheme":   manifest(rewrite(func(s string) string { return strings.Replace(s, "keys test-1", "keys test-0", 1) })),
		"first run left out":       lines(func(l []string) []string { return append(l[:3:3], l[4:]...) }),
		"run in the middle out":    lines(func(l []string) []string { return append(l[:4:4], l[5:]...) }),
		"last run left out":        lines(func(l []string) []string { return l[:5] }),
		"last run twice":           lines(func(l []string) []string { return append(l[:6:6], l[5]) }),
		"runs swapped":             lines(func(l []string) []string { return []string{l[0], l[1], l[2], l[4], l[3], l[5]} }),
		"longer than the log":      manifest(rewrite(func(s string) string { return strings.Replace(s, "run 301", "run 302", 1) })),
		"shorter than it was made": manifest(rewrite(func(s string) string { return strings.Replace(s, "run 301", "run 300", 1) })),
		"a directory":              runs(func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }),
	} {
		t.Run(name, func(t *testing.T) {
			dir, l := newIndexedLog(t)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			asBefore(t, dir, l)
			assertNoFork(t, dir, allEntries(t, l.Reader))
		})
	}
}

func size(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

func rewrite(change func(string) string) func(string) error {
	return func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(change(string(data))), 0o644)
	}
}

// TestAnIndexThatIsWholeButFalseIsNotTaken has somebody with the log's directory,
// but without its guard, make an index that lacks an entry's key.
func TestAnIndexThatIsWholeButFalseIsNotTaken(t *testing.T) {
	dir, l := newIndexedLog(t)
	forged := filepath.Join(t.TempDir(), "forged")
	copyPath(t, dir, forged)
	copyPath(t, dir+".guard", forged+".guard")
	blind := Keys{"test-1", func(leaf []byte) []string {
		if keyOf(leaf) == "k1" {
			return nil
		}
		return keysOf(leaf)
	}}
	x := openIndex(l.Reader, forged+".guard", blind)
	x.dir = filepath.Join(forged, indexDir, x.scheme)
	x.drop(0)
	head, err := l.tree.state()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.catchUp(context.Background(), head); err != nil {
		t.Fatal(err)
	}
	x.close()
	replaceDir(t, filepath.Join(forged, indexDir), filepath.Join(dir, indexDir))
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := r.FindKey(context.Background(), testOptions.Keys, "k1"); found || err != nil {
		t.Errorf("the false index is none: a reader finds what it lacks: %v, %v", found, err)
	}
	asBefore(t, dir, l)
}

// TestAnIndexOfTheOldKindIsMadeAgain: such as versions before this one wrote.
func TestAnIndexOfTheOldKindIsMadeAgain(t *testing.T) {
	dir, l := newIndexedLog(t)
	old := filepath.Join(dir, oldIndexName)
	err := errors.Join(os.RemoveAll(filepath.Join(dir, indexDir)), removeManifests(dir),
		os.WriteFile(old, []byte(`{"index":0,"key":"one that was altered"}`+"\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	asBefore(t, dir, l)
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old index is still there: %v", err)
	}
}

func TestKeysMustBeText(t *testing.T) {
	dir, _ := newTestLog(t)
	for _, bad := range []string{"\xff", strings.Repeat("k", 513), ""} {
		k := Keys{"whole", func([]byte) []string { return []string{"good", bad} }}
		l, err := Open(dir, testSigner(t, dir), Options{Keys: k})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(context.Background(), []byte("x")); err == nil || !strings.Contains(err.Error(), "not UTF-8 of 1 to 512") {
			t.Errorf("%.1q: %v", bad, err)
		}
	}
	for _, half := range []Keys{{Scheme: "x"}, {Of: keysOf}, {"two words", keysOf}} {
		if _, err := Open(dir, testSigner(t, dir), Options{Keys: half}); err == nil {
			t.Errorf("the keys %q, with Of: %v, are taken", half.Scheme, half.Of != nil)
		}
	}
}

func TestKeysMustBeAFunction(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1")
	if err := removeManifests(dir); err != nil {
		t.Fatal(err)
	}
	n := 0 // of the new entry; then of the old one when it is read, and when it is looked at
	l.opts.Keys.Of = func([]byte) []string {
		if n++; n > 1 && n%2 == 1 {
			return []string{"b"}
		}
		return []string{"a"}
	}
	if _, err := l.Append(context.Background(), []byte("a:1")); err == nil || !strings.Contains(err.Error(), "does not have the key that the index gives it") {
		t.Errorf("got %v", err)
	}
}

// TestAnEntryHasSeveralKeys: any of them is enough, and the one is named.
func TestAnEntryHasSeveralKeys(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1+ending x", "b:1")
	got := mustAppend(t, openTestLog(t, dir), "c:1+ending x", "a:2+ending y", "d:1+ending y", "e:1+ending y", "b:2+ending x")
	want := []Position{{0, true, "ending x"}, {0, true, "a"}, {2, false, ""}, {2, true, "ending y"}, {1, true, "b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for key, want := range map[string]int{"ending x": 0, "ending y": 2, "a": 0, "c": -1, "ending z": -1} {
		n, found, err := l.FindKey(context.Background(), testOptions.Keys, key)
		if err != nil || found != (want >= 0) || found && n != uint64(want) {
			t.Errorf("%s: %d, %v, %v", key, n, found, err)
		}
	}
	if n, found, err := l.Find(context.Background(), testOptions.Keys, []byte("c:9+ending y")); n != 2 || !found || err != nil {
		t.Errorf("%d, %v, %v", n, found, err)
	}
	assertIndexIsWhole(t, dir, l)
}

// TestTheIndexIsMadeAgainForOtherKeys: what older entries are about is read from
// them when a new version asks for more keys of each.
func TestTheIndexIsMadeAgainForOtherKeys(t *testing.T) {
	dir, _ := newTestLog(t)
	before := Keys{"test-0", func(leaf []byte) []string { return keysOf(leaf)[:1] }}
	l, err := Open(dir, testSigner(t, dir), Options{Keys: before})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "a:1+ending x")
	if at := mustAppend(t, openTestLog(t, dir), "b:1+ending x"); at[0] != (Position{0, true, "ending x"}) {
		t.Errorf("got %+v", at[0])
	}
}

// TestAReaderFindsWithoutTheIndex: with a damaged one, or none, it reads the
// entries, and writes nothing.
func TestAReaderFindsWithoutTheIndex(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"whole":   func(string) error { return nil },
		"lost":    os.RemoveAll,
		"no runs": func(p string) error { return removeRuns(p, "*") },
		"behind":  func(p string) error { return removeRuns(p, "290-*") },
		"a gap":   func(p string) error { return removeRuns(p, "260-*") },
		"torn":    func(p string) error { return os.Truncate(mustGlob(t, p+"/*/0-260*")[0], 7000) },
		"junk":    func(p string) error { return os.WriteFile(mustGlob(t, p+"/*/0-260*")[0], []byte("junk"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, l := newIndexedLog(t)
			if err := spoil(filepath.Join(dir, indexDir)); err != nil {
				t.Fatal(err)
			}
			before := fmt.Sprint(filesOf(t, dir))
			for key, want := range map[string]int{"k1": 1, "k259": 259, "m0": 260, "n10": 300, "new": -1} {
				n, found, err := l.FindKey(context.Background(), testOptions.Keys, key)
				if err != nil || found != (want >= 0) || found && n != uint64(want) {
					t.Errorf("%s: %d, %v, %v", key, n, found, err)
				}
			}
			if after := fmt.Sprint(filesOf(t, dir)); after != before {
				t.Errorf("it has changed %s to %s", before, after)
			}
		})
	}
}

func mustGlob(tb testing.TB, pattern string) []string {
	tb.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		tb.Fatalf("%s: %v, %v", pattern, list, err)
	}
	return list
}

func removeRuns(dir, pattern string) error {
	list, err := filepath.Glob(filepath.Join(dir, "*", pattern))
	for _, p := range list {
		err = errors.Join(err, os.Remove(p))
	}
	return err
}

func removeManifests(dir string) (err error) {
	for _, name := range manifestsIn(dir + ".guard") {
		err = errors.Join(err, os.Remove(filepath.Join(dir+".guard", name)))
	}
	return err
}

// TestDamagedEntriesMakeNoIndex: else a key that they had would seem to be free.
func TestDamagedEntriesMakeNoIndex(t *testing.T) {
	dir, l := newIndexedLog(t)
	edit(t, filepath.Join(dir, "log/tile/entries/000"), func(b []byte) []byte { b[2] ^= 1; return b })
	mustAppend(t, l, "new:1") // the index is whole, and nothing is built upon that entry
	_, err := l.Append(context.Background(), []byte("k0: again"))
	wantRefusal(t, err, "entry 0 is not the one that was logged")
	edit(t, filepath.Join(dir, "log/tile/entries/000"), func(b []byte) []byte { b[2] ^= 1; return b })
	if at := mustAppend(t, l, "k0: again"); at[0] != (Position{0, true, "k0"}) {
		t.Errorf("got %+v", at[0])
	}
	assertIndexIsWhole(t, dir, l)
}
