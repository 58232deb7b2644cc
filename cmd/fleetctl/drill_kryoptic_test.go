//go:build cgo && linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testkryoptic"
)

// TestADrillOnHSMsThatKeepAnchorsIsWhole runs the demo's drill on kryoptic, whose tokens
// keep anchors: disks that are put back are refused by name, and the two fleets that have
// to go wrong do. Its sessions are signed by ML-DSA keys too.
func TestADrillOnHSMsThatKeepAnchorsIsWhole(t *testing.T) {
	if os.Getenv("FLEETCTL_FULL") != "1" {
		t.Skip("a minute: scripts/test --full")
	}
	module := testkryoptic.Module(t)
	r, dir := newRig(t), t.TempDir()
	conf := ""
	for i := range 5 {
		conf += fmt.Sprintf("[[slots]]\nslot = %d\ndbtype = \"sqlite\"\ndbargs = \"%s/kryoptic-%d.sql\"\n", i+1, dir, i+1)
	}
	check(t, os.WriteFile(filepath.Join(dir, "kryoptic.conf"), []byte(conf), 0o600))
	r.env = append(r.env, "KRYOPTIC_CONF="+filepath.Join(dir, "kryoptic.conf"))
	out, err := r.command(dir, "demo", "--dir", "demo", "--fleet", "--hybrid", "--module", module).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "rollback     passed") || !strings.Contains(string(out), "THE DRILL PASSED") {
		t.Fatalf("%v\n%s", err, out)
	}
	set, err := os.ReadFile(filepath.Join(dir, "demo", "ceremony", "fleet-keys.json"))
	check(t, err)
	if n := strings.Count(string(set), `"algorithm": "ml-dsa-44"`); n != 3 {
		t.Errorf("%d HSMs have ML-DSA keys", n)
	}
	data, err := os.ReadFile(filepath.Join(dir, "demo", "drill", "drill.json"))
	check(t, err)
	for _, want := range []string{"no-anchor-fails", "anchor-on-apply-fails", "hsm-blocked", `"removed": "`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the report has no %s", want)
		}
	}
}
