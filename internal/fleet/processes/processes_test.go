//go:build unix

package processes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/processes"
)

func start(t *testing.T, script string) (*processes.Node, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "node.log")
	n, err := processes.Start("hsm-1", "/bin/sh", []string{"-c", script}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	return n, log
}

const ready = `printf '{\n  "format": "x"\n}\n'; `

func TestANodeIsReadyOnceItHasSaidItsResult(t *testing.T) {
	n, log := start(t, ready+`echo begun >&2; exec sleep 600`)
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "its log is kept", func() bool {
		text, _ := os.ReadFile(log)
		return string(text) == "begun\n"
	})
	if n.Ended() || n.Refused() != nil {
		t.Error("it runs, and is told as ended")
	}
	n.Kill()
	if !n.Ended() || n.Refused() != nil {
		t.Errorf("it was killed, which is no refusal: %v", n.Refused())
	}
}

func TestANodeThatEndsSaysWhy(t *testing.T) {
	n, _ := start(t, `echo "the disk is older than the anchor" >&2; exit 4`)
	if err := n.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is older than the anchor") {
		t.Fatalf("got %v", err)
	}
	if err := n.Refused(); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("got %v", err)
	}
}

func TestANodeThatDoesNotStopIsKilled(t *testing.T) {
	n, _ := start(t, `trap '' INT; `+ready+`while :; do sleep 0.05; done`)
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Stop(50 * time.Millisecond)
	if !n.Ended() {
		t.Error("it runs")
	}
}
