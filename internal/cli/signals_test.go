//go:build unix

package cli

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

func TestAClosedTerminalInterruptsUnlessThatWasIgnored(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("it is ignored here already")
	}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !slices.Contains(interrupts(), s) {
			t.Errorf("%v is not handled", s)
		}
	}
	signal.Ignore(syscall.SIGHUP) // as nohup does
	defer signal.Reset(syscall.SIGHUP)
	if list := interrupts(); slices.Contains(list, os.Signal(syscall.SIGHUP)) || len(list) != 2 {
		t.Errorf("with SIGHUP ignored: %v", list)
	}
}
