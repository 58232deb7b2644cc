//go:build cgo && linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
)

// TestADrillOnHSMsThatKeepAnchorsIsWhole runs the demo's drill on kryoptic, whose tokens
// keep anchors, with three nodes and with five: disks that are put back are refused by
// name, and the two fleets that have to go wrong do. Its sessions are signed by ML-DSA
// keys too.
func TestADrillOnHSMsThatKeepAnchorsIsWhole(t *testing.T) {
	if os.Getenv("FLEETCTL_FULL") != "1" {
		t.Skip("minutes: scripts/test --full")
	}
	module := testkryoptic.Module(t)
	for _, nodes := range []int{3, 5} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) { drillOnKryoptic(t, module, nodes) })
	}
}

func drillOnKryoptic(t *testing.T, module string, nodes int) {
	r, dir := newRig(t), t.TempDir()
	conf := ""
	for i := range nodes + 2 { // the third party's and the operator's too
		conf += fmt.Sprintf("[[slots]]\nslot = %d\ndbtype = \"sqlite\"\ndbargs = \"%s/kryoptic-%d.sql\"\n", i+1, dir, i+1)
	}
	check(t, os.WriteFile(filepath.Join(dir, "kryoptic.conf"), []byte(conf), 0o600))
	r.env = append(r.env, "KRYOPTIC_CONF="+filepath.Join(dir, "kryoptic.conf"))
	out, err := r.command(dir, "demo", "--dir", "demo", "--fleet", "--hybrid", "--hsms", fmt.Sprint(nodes), "--module", module).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "rollback     passed") || !strings.Contains(string(out), "THE DRILL PASSED") {
		t.Fatalf("%v\n%s", err, out)
	}
	set, err := os.ReadFile(filepath.Join(dir, "demo", "ceremony", "fleet-keys.json"))
	check(t, err)
	if n := strings.Count(string(set), `"algorithm": "ml-dsa-44"`); n != nodes {
		t.Errorf("%d HSMs have ML-DSA keys", n)
	}
	t.Logf("%s", out)
	file := filepath.Join(dir, "demo", "drill", "drill.json")
	data, err := os.ReadFile(file)
	check(t, err)
	d, err := report.Parse(file, data)
	check(t, err)
	written := 0
	for _, f := range d.Figures {
		if f.Name == report.AnchorMedian && f.Value > 0 {
			written++
		}
	}
	if written != nodes || len(d.Nodes) != nodes {
		t.Errorf("%d of %d nodes' HSMs were measured", written, len(d.Nodes))
	}
	for _, want := range []string{"no-anchor-fails", "anchor-on-apply-fails", "hsm-blocked", `"removed": "`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the report has no %s", want)
		}
	}
}
