//go:build cgo && linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

// TestADrillOfSevenNodesOutlivesTwoThousandLogins has seven nodes, each a process of its
// own on a software token, drilled by the demo, and drills them again with 2,000 logins
// while leaders are killed.
func TestADrillOfSevenNodesOutlivesTwoThousandLogins(t *testing.T) {
	if os.Getenv("FLEETCTL_FULL") != "1" {
		t.Skip("minutes: scripts/test --full")
	}
	const logins = 2000
	r, dir := newRig(t), t.TempDir()
	if out, err := r.command(dir, "demo", "--dir", "demo", "--fleet", "--hsms", "7", "--module", modulePath()).CombinedOutput(); err != nil || !strings.Contains(string(out), "THE DRILL PASSED") {
		t.Fatalf("%v\n%s", err, out)
	}
	at := filepath.Join(dir, "demo")
	r.env = append(r.env, "SOFTHSM2_CONF="+filepath.Join(at, "softhsm2.conf"))
	out, err := r.command(at, "fleet", "drill", "ceremony", "--site", "site.yaml", "--policy", "device.json", "--out", "again", "--unrecorded", "--stages", "sessions,logins,faults,lock", "--logins", fmt.Sprint(logins)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "THE DRILL PASSED") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	file := filepath.Join(at, "again", "drill.json")
	data, err := os.ReadFile(file)
	check(t, err)
	d, err := report.Parse(file, data)
	check(t, err)
	if len(d.Nodes) != 7 || d.Majority != 4 || d.Counts.Attempts < logins || d.Counts.Consumed < d.Counts.Acknowledged || d.Counts.ReleasedAfterLock+d.Counts.WithoutMajority != 0 || d.Histories[0].Result != report.Linearizable || d.Histories[0].Operations < logins {
		t.Errorf("%d nodes, majority %d, %+v, %+v", len(d.Nodes), d.Majority, d.Counts, d.Histories)
	}
}
