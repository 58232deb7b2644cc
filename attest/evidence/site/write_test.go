package site

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// pretended is a site of small files.
func pretended(content string, paths ...string) Files {
	f := Files{}
	for _, p := range paths {
		f[p] = []byte(content + " " + p)
	}
	f[sumsFile] = f.sums()
	return f
}

// holds are the files in a folder.
func holds(t *testing.T, dir string) Files {
	t.Helper()
	f := Files{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			f[filepath.ToSlash(strings.TrimPrefix(p, dir+string(filepath.Separator)))] = must(os.ReadFile(p))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func same(a, b Files) bool {
	for p := range a {
		if !bytes.Equal(a[p], b[p]) {
			return false
		}
	}
	return len(a) == len(b)
}

func TestASiteIsReplacedWholly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "site")
	for _, files := range []Files{
		pretended("a", "index.html", "epoch-1/index.html", "epoch-1/evidence.tar"),
		pretended("b", "index.html", "epoch-2/index.html"),
		pretended("b", "index.html", "epoch-2/index.html"),
	} {
		if err := Write(dir, files); err != nil {
			t.Fatal(err)
		}
		if got := holds(t, dir); !same(got, files) {
			t.Errorf("holds %v", got)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "epoch-1")); err == nil {
		t.Error("the folder of an epoch that is no longer published stays")
	}
}

func TestNothingIsOverwrittenThatWasNotMadeHere(t *testing.T) {
	for name, c := range map[string]struct {
		does func(dir string) error
		want string
	}{
		"a file that isn't the site's": {func(d string) error { return os.WriteFile(filepath.Join(d, "notes.txt"), []byte("mine"), 0o644) }, "notes.txt: is in the site's folder, and was not made here"},
		"one in an epoch's folder": {func(d string) error {
			return os.WriteFile(filepath.Join(d, "epoch-1", "thesis.tex"), []byte("mine"), 0o644)
		}, "thesis.tex: is in the site's folder"},
		"a page that somebody edited": {func(d string) error { return os.WriteFile(filepath.Join(d, "index.html"), []byte("edited"), 0o644) }, "index.html: was changed since it was made"},
		"a link":                      {func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "link")) }, "link: is in the site's folder"},
		"a list of another's": {func(d string) error {
			return os.WriteFile(filepath.Join(d, sumsFile), []byte("00  index.html\n"), 0o644)
		}, "is no site that was made here"},
		"no list": {func(d string) error { return os.Remove(filepath.Join(d, sumsFile)) }, "is no site that was made here"},
	} {
		dir := filepath.Join(t.TempDir(), "site")
		if err := Write(dir, pretended("a", "index.html", "epoch-1/index.html")); err != nil {
			t.Fatal(err)
		}
		if err := c.does(dir); err != nil {
			t.Fatal(err)
		}
		before := holds(t, dir)
		err := Write(dir, pretended("b", "index.html"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !same(before, holds(t, dir)) {
			t.Errorf("%s: the folder was changed", name)
		}
	}
}

// TestARunThatIsCutOffIsMadeGood: whatever call ends a run, with power or without, the
// next takes the folder for its own and writes the site.
func TestARunThatIsCutOffIsMadeGood(t *testing.T) {
	first := pretended("a", "index.html", "epoch-1/index.html", "epoch-2/index.html")
	next := pretended("b", "index.html", "epoch-2/index.html", "epoch-3/index.html")
	runs := 0
	for _, fault := range []simdisk.Fault{simdisk.Kill, simdisk.Cut, simdisk.CutTorn} {
		for _, old := range []Files{nil, first} {
			for at := 1; ; at++ {
				disk := simdisk.New(t, uint64(at))
				dir := disk.Path("site")
				if old != nil {
					if err := Write(dir, old); err != nil {
						t.Fatal(err)
					}
				}
				begin := disk.Calls()
				disk.Fault = func(c simdisk.Call) simdisk.Fault {
					if c.N == begin+at {
						return fault
					}
					return simdisk.None
				}
				if disk.Run(func() error { return Write(dir, next) }) == nil {
					break // there is no such call
				}
				runs++
				disk.Fault = nil
				if err := Write(dir, next); err != nil {
					t.Fatalf("%v at call %d over %d files: %v", fault, at, len(old), err)
				}
				disk.Cut()
				if err := stands(dir, next); err != nil {
					t.Fatalf("%v at call %d over %d files: %v", fault, at, len(old), err)
				}
			}
		}
	}
	if runs < 60 {
		t.Errorf("%d runs were cut off", runs)
	}
}

// stands says what a folder on a simulated disk has that isn't the site's.
func stands(dir string, files Files) error {
	made, err := existing(dir)
	if err != nil {
		return err
	}
	if len(made) != len(files)-1 {
		return fmt.Errorf("%d files of %d", len(made), len(files)-1)
	}
	for p, data := range files {
		if got, err := durable.ReadFile(filepath.Join(dir, p)); err != nil || !bytes.Equal(got, data) {
			return fmt.Errorf("%s: %v", p, err)
		}
	}
	return nil
}
