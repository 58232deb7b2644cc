//go:build cgo && unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
)

// The demo takes as many HSMs as a plan does, and refuses one more before it has
// made anything.
func TestTheDemoTakesAsManyHSMsAsABundleHolds(t *testing.T) {
	r := newRig(t)
	data, err := os.ReadFile(filepath.Join(r.template, "plan.yaml"))
	check(t, err)
	p, err := ceremony.ParsePlan("plan.yaml", data)
	check(t, err)
	p.Fleet, p.HSMs = demo.Fleet, nil
	most := demo.MostHSMs()
	for n := range most + 1 {
		if p.MaxBundle() > bundle.MaxBundle {
			t.Fatalf("a bundle of %d HSMs is too large, and the demo takes %d", n, most)
		}
		p.HSMs = append(p.HSMs, ceremony.PlanHSM{Name: fmt.Sprintf("hsm-%d", n+1), Site: "lab", Serial: strings.Repeat("0", 16)})
		p.Majority = len(p.HSMs)/2 + 1
	}
	if p.MaxBundle() <= bundle.MaxBundle {
		t.Errorf("a bundle of %d HSMs fits, and the demo takes %d", most+1, most)
	}
	dir := t.TempDir()
	out, err := r.command(dir, "demo", "--dir", "demo", "--hsms", fmt.Sprint(most+1)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("the demo takes 1 to %d", most)) {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "demo")); err == nil {
		t.Error("it began all the same")
	}
	if os.Getenv("FLEETCTL_FULL") != "1" {
		return // minutes on SoftHSM; attest/evidence has the largest fleet in memory
	}
	out, err = r.command(dir, "demo", "--dir", "demo", "--hsms", fmt.Sprint(most)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "VERIFIED") {
		t.Errorf("the largest demo: %v\n%s", err, out)
	}
}
