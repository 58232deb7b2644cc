//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// atSign gives a command that meets a fault at the first C_Sign of a ceremony,
// with the PINs of the tokens in its memory, allowed any core it likes.
func (r faultRig) atSign(dir, fault string) *exec.Cmd {
	r.t.Helper()
	_, functions := r.trial()
	cmd := r.start(dir)
	shell := exec.Command("sh", append([]string{"-c", `ulimit -c unlimited; exec "$@"`, "sh"}, cmd.Args...)...)
	shell.Dir = dir
	shell.Env = append(cmd.Env, "GOTRACEBACK=crash", "PROXY_CALLS="+counter(dir),
		fmt.Sprintf("PROXY_AT=%d", bytes.IndexByte(functions, 43)), "PROXY_FAULT="+fault)
	return shell
}

// hangsAtSign starts a ceremony whose module hangs at the first C_Sign, and
// waits until it does.
func (r faultRig) hangsAtSign(dir string) *await.Process {
	r.t.Helper()
	p := await.Start(r.t, r.atSign(dir, "hang"))
	if !p.Until(func() bool { _, functions := callsIn(dir); return bytes.IndexByte(functions, 43) >= 0 }) {
		r.t.Fatalf("it never came to its first signature; ended: %v", p.Ended())
	}
	return p
}

// TestNoCoreIsLeft: a module that crashes takes the process with it, and no PIN
// gets into a core file, whatever the shell allows.
func TestNoCoreIsLeft(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	check(t, err)
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	cores := func(dir string) []string {
		list, err := filepath.Glob(filepath.Join(dir, "core*"))
		check(t, err)
		return list
	}

	control := t.TempDir()
	cmd := exec.Command("sh", "-c", "ulimit -c unlimited; kill -SEGV $$")
	cmd.Dir = control
	_ = cmd.Run()
	if len(cores(control)) == 0 {
		t.Logf("cores go elsewhere here (core_pattern is %q), or nowhere: only the limit is looked at", strings.TrimSpace(string(pattern)))
	}

	for _, fault := range []string{"segv", "abort"} {
		dir := r.world()
		out, err := r.atSign(dir, fault).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("SIG")) {
			t.Fatalf("%s: it did not crash: %v\n%s", fault, err, out)
		}
		if left := cores(dir); len(left) > 0 {
			t.Errorf("%s left %q", fault, left)
		}
		if bytes.Contains(out, []byte(right)) {
			t.Errorf("%s: a PIN is in what the crash said", fault)
		}
		if out, err := r.start(dir).CombinedOutput(); err != nil {
			t.Errorf("%s, resumed: %v\n%s", fault, err, out)
		}
	}
}

// TestTheProcessIsHardened looks at one that has PINs in its memory.
func TestTheProcessIsHardened(t *testing.T) {
	r := faultRig{newRig(t), map[string]int{}}
	r.proxy()
	dir := r.world()
	cmd := r.hangsAtSign(dir)
	look := func(name string) []byte {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, name))
		if err != nil && os.Geteuid() == 0 {
			t.Errorf("%s: %v", name, err)
		}
		return data // who isn't root can't read another's that is not dumpable
	}
	if limits := look("limits"); len(limits) > 0 && !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("a core may be written:\n%s", limits)
	}
	for _, name := range []string{"cmdline", "environ"} {
		if bytes.Contains(look(name), []byte("pin-of-")) {
			t.Errorf("a PIN is in %s", name)
		}
	}

	// Of oneself the flag can be asked.
	if code, _, _ := runApp("version"); code != cli.ExitDone {
		t.Fatal(code)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil || dumpable != 0 {
		t.Errorf("dumpable is %d, %v", dumpable, err)
	}
}
