package fleetctl_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryCommandHasItsManualPage makes the pages as scripts/release does.
func TestEveryCommandHasItsManualPage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	dir := t.TempDir()
	make := exec.Command("go", "run", "-tags", "man", "./cmd/fleetctl", dir)
	make.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1790000000")
	if talk, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, talk)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 50 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	also := regexp.MustCompile(`\\fB(fleetctl[a-z-]*)\(1\)\\fP`)
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if !strings.Contains(text, "Sep 2026") || strings.Contains(text, "Auto generated") {
			t.Errorf("%s: its date is not that of SOURCE_DATE_EPOCH alone", filepath.Base(page))
		}
		for _, m := range also.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(dir, m[1]+".1")); err != nil {
				t.Errorf("%s: see also %s, which has no page", filepath.Base(page), m[1])
			}
		}
	}
	verify, err := os.ReadFile(filepath.Join(dir, "fleetctl-verify.1"))
	if err != nil || !strings.Contains(string(verify), "offline") {
		t.Errorf("the page of verify: %v", err)
	}
}
