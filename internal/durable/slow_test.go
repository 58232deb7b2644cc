package durable

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEverySyncOfASlowDiskTakesLonger(t *testing.T) {
	const by = 20 * time.Millisecond
	root := t.TempDir()
	path := filepath.Join(root, "f")
	unmount := Slow(root, by)
	for name, c := range map[string]struct {
		syncs int // at the least
		do    func() error
	}{
		"a file made, and its folder":     {2, func() error { return Create(path, []byte("a"), 0o600) }},
		"a file replaced, and its folder": {2, func() error { return Replace(path+"2", []byte("b"), 0o600) }},
		"a folder made":                   {1, func() error { return Mkdir(filepath.Join(root, "sub"), 0o700) }},
		"a file that stays open": {1, func() error {
			f, err := OpenFile(path+"3", os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Sync()
		}},
	} {
		began := time.Now()
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if took := time.Since(began); took < time.Duration(c.syncs)*by {
			t.Errorf("%s took %s, with %d syncs of %s", name, took, c.syncs, by)
		}
	}
	content(t, path, "a", 0o600)
	unmount()
	if at(path) != (computer{}) {
		t.Error("the disk is slow for ever")
	}
}
