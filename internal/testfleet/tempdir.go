package testfleet

import (
	"os"
	"testing"
)

// memoryDisk is a file system in memory, where there is one: what is tested on
// fleets is not that fsync works, and on a busy disk it takes most of the time.
func memoryDisk() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// TempDir is t.TempDir in memory, where that can be had.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memoryDisk(), "testfleet-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// absent skips for want of something, except in CI, where a skip would hide
// that nothing was tested.
func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI must have it", what)
	}
	t.Skip(what)
}
