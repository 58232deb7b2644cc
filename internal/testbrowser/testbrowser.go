// Package testbrowser has tests open pages in a headless Chromium, and keeps what the
// browser complains about.
package testbrowser

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/browser"
)

// Browser is a running Chromium.
type Browser struct{ b *browser.Browser }

// Start starts Chromium and ends it with the test. Where there is none the test is
// skipped, but in CI. The race detector can't look into it, and go test -short is
// without what takes seconds.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := Path(t)
	home := t.TempDir()
	cmd, b, err := browser.Command(path, home)
	must(t, err)
	chromium := await.Start(t, cmd)
	must(t, b.Begin())
	t.Cleanup(func() {
		_ = b.Close()
		chromium.Kill()
		_ = b.Ended()
		// Its children end after it, and write to the profile until then: a file that
		// comes while the test's folder is removed would fail the test.
		await.Until(t, "Chromium's children have left its profile", func() bool { return os.RemoveAll(home) == nil })
	})
	return &Browser{b}
}

// Path is where Chromium is, for tests of what starts it itself. It skips like Start.
func Path(t testing.TB) string {
	t.Helper()
	if testing.Short() || await.RaceDetector {
		t.Skip("a browser is another process, and takes seconds: go test without -race and -short starts it")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing (Debian: chromium), and in CI nothing is left out")
		}
		t.Skip("chromium is missing (Debian: chromium): no page is opened")
	}
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the browser: %v", err)
	}
}

// within is a context in which the browser has to answer.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), await.Longest)
}
