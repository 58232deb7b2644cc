package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// mount gives a file system of 64 KiB, or skips where that takes rights.
func mount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("can't mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLeavesNoPartOfAFile(t *testing.T) {
	dir := mount(t)
	big := make([]byte, 100<<10)
	if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(filepath.Join(dir, "f"), big, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Create: %v", err)
	}
	if err := Temp("").createNamed(filepath.Join(dir, "f"), big, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("createNamed: %v", err)
	}
	if err := createInPlace(filepath.Join(dir, "f"), big, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("createInPlace: %v", err)
	}
	if err := Replace(filepath.Join(dir, "kept"), big, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Replace: %v", err)
	}
	content(t, filepath.Join(dir, "kept"), "old", 0o600)
	holds(t, dir, "kept")
	if err := Create(filepath.Join(dir, "small"), []byte("x"), 0o600); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestAReadOnlyDiskIsLeftAsItIs(t *testing.T) {
	dir := mount(t)
	if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if err := Create(filepath.Join(dir, "f"), []byte("x"), 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Create: %v", err)
	}
	if err := Replace(filepath.Join(dir, "kept"), []byte("x"), 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Replace: %v", err)
	}
	if _, err := Lock(filepath.Join(dir, "lock")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("Lock: %v", err)
	}
	content(t, filepath.Join(dir, "kept"), "old", 0o600)
	holds(t, dir, "kept")
}

func TestADirectoryWithoutRightsIsLeftAsItIs(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root has every right")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := Create(filepath.Join(dir, "f"), []byte("x"), 0o600); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Create: %v", err)
	}
	holds(t, dir)
}

// procfs takes the bytes and refuses fsync: that must not be passed over.
func TestARefusedSyncIsAnError(t *testing.T) {
	const path = "/proc/self/comm"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	if err := fill(f, old); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("got %v, want fsync's refusal", err)
	}
}

// The umask is the process's: no test beside this one may write meanwhile.
func TestTheUmaskTakesFromTheMode(t *testing.T) {
	for _, c := range []struct {
		umask      int
		mode, want os.FileMode
	}{{0, 0o644, 0o644}, {0, 0o600, 0o600}, {0o022, 0o666, 0o644}, {0o027, 0o644, 0o640}, {0o077, 0o644, 0o600}} {
		dir := t.TempDir()
		old := syscall.Umask(c.umask)
		errs := []error{
			Create(filepath.Join(dir, "c"), []byte("x"), c.mode),
			Temp("").createNamed(filepath.Join(dir, "n"), []byte("x"), c.mode),
			createInPlace(filepath.Join(dir, "i"), []byte("x"), c.mode),
			Replace(filepath.Join(dir, "r"), []byte("x"), c.mode),
		}
		syscall.Umask(old)
		for _, err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		for _, f := range []string{"c", "i", "n", "r"} {
			content(t, filepath.Join(dir, f), "x", c.want)
		}
	}
}

func TestAnErrorNamesTheFileThatWasAskedFor(t *testing.T) {
	for _, path := range []string{"/nowhere/f", "/proc/f"} {
		for _, write := range []func(string, []byte, os.FileMode) error{Create, Replace} {
			err := write(path, []byte("x"), 0o600)
			var p *os.PathError
			if !errors.As(err, &p) || p.Path != path {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
