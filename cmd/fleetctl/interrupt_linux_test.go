//go:build cgo

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAnInterruptWhileAnotherProcessLooksIsAnInterrupt: the process that looks
// at the token dies with it, and that is no failure of the HSM's.
func TestAnInterruptWhileAnotherProcessLooksIsAnInterrupt(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	cmd := r.start(dir)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	check(t, cmd.Start())
	children := fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid)
	deadline := time.Now().Add(time.Minute)
	for !probing(cmd.Process.Pid) {
		if _, err := os.Stat(children); err != nil || time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Skipf("no other process was seen: %v\n%s", err, talk.String())
		}
	}
	check(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitPending || !strings.Contains(talk.String(), "interrupted; the ceremony stands after record") || strings.Contains(talk.String(), "context canceled") || !strings.Contains(talk.String(), "fleetctl ceremony resume") {
		t.Errorf("exit code %d\n%s", code, talk.String())
	}
}

// probing says whether one of the process's threads has started another.
func probing(pid int) bool {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		if list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name())); len(list) > 0 {
			return true
		}
	}
	return false
}
