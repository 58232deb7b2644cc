//go:build cgo && linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

const page = 4096

// disk is a small file system in memory that can be filled up.
type disk struct {
	t    testing.TB
	dir  string
	size int
}

// mountDisk mounts one on a directory with what the directory held.
func mountDisk(t testing.TB, dir string, size int) *disk {
	t.Helper()
	held := t.TempDir()
	check(t, os.MkdirAll(dir, 0o700))
	check(t, copyTree(dir, held))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small disk can't be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	check(t, copyTree(held, dir))
	check(t, os.MkdirAll(filepath.Join(dir, "private"), 0o700))
	return &disk{t, dir, size}
}

// ballast is where a ceremony's folder doesn't mind a file that isn't its own.
func (d *disk) ballast() string { return filepath.Join(d.dir, "private", "ballast") }

// fill leaves so many pages free.
func (d *disk) fill(free int) {
	d.t.Helper()
	var st syscall.Statfs_t
	check(d.t, syscall.Statfs(d.dir, &st))
	n := int(st.Bfree)*int(st.Bsize) - free*page
	check(d.t, os.WriteFile(d.ballast(), make([]byte, max(n, 0)), 0o600))
}

func (d *disk) empty() { check(d.t, os.Remove(d.ballast())) }

// used is the number of pages in use.
func (d *disk) used() int {
	var st syscall.Statfs_t
	check(d.t, syscall.Statfs(d.dir, &st))
	return int(st.Blocks-st.Bfree) * int(st.Bsize) / page
}

// TestAFullDisk fills the disk of the ceremony's folder at every phase: with so
// many pages free that the ceremony ends in the middle of any of its files, and
// wholly at every command after it. With room made, each goes on where it was.
func TestAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	r := newRig(t)
	need := 0
	fits := func(free int) (full bool) {
		t.Helper()
		dir := r.world()
		d := mountDisk(t, filepath.Join(dir, "ceremony"), 1<<20)
		d.fill(free)
		out, err := r.start(dir).CombinedOutput()
		d.empty()
		if err != nil {
			full = true
			if !bytes.Contains(out, []byte("no space left")) {
				t.Errorf("%d pages: the disk is full and nobody says so:\n%s", free, out)
			}
			if code := exitOf(err); code != cli.ExitFailed {
				t.Errorf("%d pages: the disk is full, and the exit code is %d:\n%s", free, code, out)
			}
			if out, err := r.start(dir).CombinedOutput(); err != nil {
				t.Errorf("%d pages, then room: %v\n%s", free, err, out)
			}
		}
		if end, err := r.end(dir); end != passed {
			t.Errorf("%d pages: %s %v", free, end, err)
		}
		need = d.used()
		if !full {
			r.fullLife(d, dir)
		}
		return full
	}
	if fits(200) {
		t.Fatal("a ceremony takes less than 800 KiB")
	}
	var tries []int
	for free := range need {
		tries = append(tries, free)
	}
	if os.Getenv("FLEETCTL_FULL") != "1" {
		tries = []int{0, 1, need / 3, need / 2, need - 3, need - 1}
	}
	stopped := 0
	for _, free := range slices.Compact(tries) {
		if fits(free) {
			stopped++
		}
	}
	t.Logf("a ceremony's folder takes %d pages; run with %d smaller amounts of room, %d ran full and went on once there was room", need, len(tries), stopped)
}

// exitOf is the exit code that a command ended with.
func exitOf(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// fullLife runs every command after the run first without any room, then with.
func (r *rig) fullLife(d *disk, dir string) {
	r.t.Helper()
	steps := lifeSteps(dir)
	at := slices.IndexFunc(steps, func(s lifeStep) bool { return s.stage == "run" })
	failed := 0
	for _, step := range steps[at+1:] {
		for i, arg := range step.args {
			if arg == "DIGEST" {
				step.args[i] = digestOf(filepath.Join(dir, "ceremony", "fleet-keys.json"))
			}
		}
		d.fill(0)
		out, err := r.command(dir, step.args...).CombinedOutput()
		d.empty()
		if err == nil {
			continue // it writes elsewhere
		}
		failed++
		if !bytes.Contains(out, []byte("no space left")) {
			r.t.Errorf("fleetctl %s: the disk is full and nobody says so:\n%s", strings.Join(step.args, " "), out)
		}
		if code := exitOf(err); code != cli.ExitFailed {
			r.t.Errorf("fleetctl %s: the disk is full, and the exit code is %d:\n%s", strings.Join(step.args, " "), code, out)
		}
		r.run(dir, step.args...)
	}
	r.run(dir, "verify", "evidence.tar", "--policy", "policy.yaml")
	r.t.Logf("%d of the %d commands after the run need room in the folder; each did its work once there was some", failed, len(steps)-at-1)
}

// TestAFullDiskOfEverybody runs the whole life on one disk that is full at each
// command: ledger, log and results are on it too. Whatever fails for that fails as
// the disk's fault.
func TestAFullDiskOfEverybody(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	r := newRig(t)
	dir := r.world()
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.fullLife(mountDisk(t, dir, 8<<20), dir)
}

// TestATokenWithoutRoom fills the disk on which SoftHSM keeps its tokens.
func TestATokenWithoutRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	r := newRig(t)
	stopped := 0
	for free := range 7 {
		dir := r.world()
		d := mountDisk(t, filepath.Join(dir, "tokens"), 1<<20)
		d.fill(free)
		_, err := r.start(dir).CombinedOutput()
		d.empty()
		if err != nil {
			stopped++
			if out, err := r.start(dir).CombinedOutput(); err != nil {
				t.Errorf("%d pages, then room: %v\n%s", free, err, out)
			}
		}
		if end, err := r.end(dir); end != passed {
			t.Errorf("%d pages: %s %v", free, end, err)
		}
	}
	if stopped == 0 {
		t.Error("SoftHSM never ran out of room")
	}
	t.Logf("7 ceremonies on tokens with 0 to 6 pages free, %d stopped and went on with room", stopped)
}
