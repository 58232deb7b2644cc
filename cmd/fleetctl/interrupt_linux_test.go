//go:build cgo

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// TestAnInterruptWhileAnotherProcessLooksIsAnInterrupt: the process that looks
// at the token dies with it, and that is no failure of the HSM's.
func TestAnInterruptWhileAnotherProcessLooksIsAnInterrupt(t *testing.T) {
	r := newRig(t)
	// A ceremony that ended before it was seen to look, or before the signal came
	// to it, shows nothing: the next one does.
	for range 20 {
		cmd := r.start(r.world())
		var talk bytes.Buffer
		cmd.Stdout, cmd.Stderr = &talk, &talk
		p := await.Start(t, cmd)
		seen := p.Until(func() bool { return probing(p.Process.Pid) })
		_ = p.Process.Signal(syscall.SIGINT)
		_ = p.Wait()
		code := p.ProcessState.ExitCode()
		if !seen || code == cli.ExitDone {
			continue
		}
		if code != cli.ExitPending || !strings.Contains(talk.String(), "interrupted; the ceremony stands after record") || strings.Contains(talk.String(), "context canceled") || !strings.Contains(talk.String(), "fleetctl ceremony resume") {
			t.Errorf("exit code %d\n%s", code, talk.String())
		}
		return
	}
	t.Error("no ceremony was interrupted while another process looked")
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
