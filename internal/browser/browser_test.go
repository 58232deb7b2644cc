package browser_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/browser"
)

// played is a browser that a script plays: 3 is what it reads, 4 what it writes.
func played(t *testing.T, script string) *browser.Browser {
	t.Helper()
	home := t.TempDir()
	path := filepath.Join(home, "chromium")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, b, err := browser.Command(path, home)
	if err != nil {
		t.Fatal(err)
	}
	await.Start(t, cmd)
	if err := b.Begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.Close()
		if err := b.Ended(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestABrowserThatEndsOrIsSilentKeepsNobodyWaiting(t *testing.T) {
	if _, err := played(t, "exit 1").Open(t.Context(), nil); err == nil {
		t.Error("a browser that has ended opens a page")
	}
	ctx, stop := context.WithCancel(t.Context())
	b := played(t, "cat <&3 >/dev/null")
	stop()
	if _, err := b.Open(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a browser that doesn't answer: %v", err)
	}
}

func TestWhatABrowserRefusesAndWhatIsNoMessage(t *testing.T) {
	b := played(t, `head -c 1 <&3 >/dev/null # once it was asked
printf 'no json\000{"id":7,"result":{}}\000{"id":1,"error":{"message":"no such target"}}\000' >&4; cat <&3 >/dev/null`)
	_, err := b.Open(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "Target.createTarget") {
		t.Errorf("%v", err)
	}
}
