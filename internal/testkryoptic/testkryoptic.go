// Package testkryoptic finds kryoptic, a software token that Debian has no package of:
// for tests alone.
package testkryoptic

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Module is the path of kryoptic's module, which scripts/kryoptic builds; another build
// is named by FLEETCTL_KRYOPTIC. A test is skipped where there is none, and fails in CI,
// where nobody would see that it never ran.
func Module(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("FLEETCTL_KRYOPTIC"); path != "" {
		return path
	}
	out, err := exec.Command(filepath.Join(root(t), "scripts", "kryoptic"), "path").Output()
	if err == nil {
		return strings.TrimSpace(string(out))
	}
	const what = "kryoptic is not built (scripts/kryoptic build, which installs Rust where there is none)"
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
	return ""
}

// root is the folder of the module's sources, above that of the test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("the test runs outside the module's sources")
	return ""
}
