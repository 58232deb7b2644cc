package engine_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// smallDisk is a file system of 512 KiB, and a way to fill it.
func smallDisk(t *testing.T) (dir string, fill func()) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("can't mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, func() {
		f, err := os.Create(filepath.Join(dir, "full"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	}
}

// A disk that is full at any moment stops the ceremony: nothing is done that
// can't be written down. With room again it goes on.
func TestAFullDiskStopsEverything(t *testing.T) {
	for _, method := range []string{"Info", "Login", "Objects", "Generate", "Attributes", "Attack", "Sign", "Probe"} {
		disk, fill := smallDisk(t)
		f := testfleet.Prepared(t, testfleet.Options{HSMs: 2})
		f.Dir = filepath.Join(disk, "ceremony")
		f.Tokens[0].Before = on(method, func(string) error {
			if _, err := os.Stat(filepath.Join(disk, "full")); err != nil {
				fill()
			}
			return nil
		})
		a, err := run(t, f, context.Background())
		if err == nil || !errors.Is(err, syscall.ENOSPC) && !bytes.Contains([]byte(err.Error()), []byte("no space left")) {
			t.Fatalf("%s: %v", method, err)
		}
		if a.Abort != nil || a.Fault != "" {
			t.Errorf("%s: %+v", method, a.Abort)
		}
		for i, tok := range f.Tokens {
			for _, call := range tok.Calls {
				if call == "Destroy" {
					t.Errorf("%s: a key of token %d was destroyed, and nobody could write it down", method, i+1)
				}
			}
		}
		f.Tokens[0].Before = nil
		must(0, os.Remove(filepath.Join(disk, "full")))
		if _, err := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("c"))); err != nil {
			if _, rerr := engine.Run(context.Background(), f.Config(f.Dir, testfleet.Random("r"))); rerr != nil {
				t.Errorf("%s: with room again it goes on neither way: %v; %v", method, err, rerr)
			}
		}
	}
}

// destroysUnwritten names a gap: a check that fails at the very record that
// can't be written still destroys keys. When it is mended, make it an error.
func TestAFailedCheckOnAFullDisk(t *testing.T) {
	disk, fill := smallDisk(t)
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1})
	f.Dir = filepath.Join(disk, "ceremony")
	f.Tokens[0].OnAttack = func(l []token.Attempt) []token.Attempt {
		fill()
		// No page has room for this record.
		for i := range l {
			l[i].Call = string(bytes.Repeat([]byte("x"), 120))
		}
		l[0].Code = "CKR_OK"
		return l
	}
	for range 40 { // enough attempts to fill whatever a page has left
		old := f.Tokens[0].OnAttack
		f.Tokens[0].OnAttack = func(l []token.Attempt) []token.Attempt { l = old(l); return append(l, l[0]) }
	}
	a, err := run(t, f, context.Background())
	if err == nil || a.Fault != "" {
		t.Skipf("the record was written after all: %v", err)
	}
	for _, call := range f.Tokens[0].Calls {
		if call == "Destroy" {
			t.Error("a key was destroyed, which could not be written down")
		}
	}
}

func TestABrokenJournalRefusesFurtherUse(t *testing.T) {
	disk, fill := smallDisk(t)
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	dir := filepath.Join(disk, "ceremony")
	must(0, os.CopyFS(dir, os.DirFS(f.Dir)))
	j := must(engine.OpenJournal(dir, testfleet.Program, f.Now, testfleet.Random("x")))
	defer j.Close()
	fill()
	words := string(bytes.Repeat([]byte("x"), 4096))
	long := &ceremony.Exception{Number: 1, Expected: words, Happened: words, Decided: words}
	_, err := j.Append(long)
	wantError(t, err, "can't be written")
	must(0, os.Remove(filepath.Join(disk, "full")))
	_, err = j.Append(&ceremony.Exception{Number: 2, Expected: "a", Happened: "b", Decided: "c"})
	wantError(t, err, "the transcript could not be written before")
	if _, err := j.Build(context.Background(), nil); err == nil {
		t.Error("it was built on")
	}
}
