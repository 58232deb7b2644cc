//go:build unix

package evidence_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Skip(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// The largest fleet whose bundle a log takes lives its whole life and is
// verified, and each of its HSMs takes no more of the processor than each of a
// small fleet's: nothing is done for every HSM once more for each other one.
func TestTheLargestFleetLivesAndEachHSMTakesNoMoreThanInASmallOne(t *testing.T) {
	if await.RaceDetector {
		t.Skip("it measures, and the race detector is slow: go test without -race has it")
	}
	life := func(n int) (*testfleet.Fleet, time.Duration) {
		before := processorTime(t)
		f := testfleet.New(t, testfleet.Options{HSMs: n})
		return f, (processorTime(t) - before) / time.Duration(n)
	}
	life(30) // whatever is done once
	small, least := life(30)
	p := *small.Plan
	p.HSMs = slices.Clone(p.HSMs)
	for p.MaxBundle() <= bundle.MaxBundle {
		p.HSMs = append(p.HSMs, ceremony.PlanHSM{Name: "hsm-999", Site: "lab", Serial: "0"})
	}
	most := len(p.HSMs) - 1
	f, each := life(most)
	if r := judged(t, f, evidence.Input{File: "evidence.tar", Data: f.Archive}); !r.Verified {
		t.Errorf("not verified: %+v", r.Problems)
	}
	if len(f.Account.Keys) != most || each > 2*least {
		t.Errorf("%d keys of %d HSMs; %s of the processor each, and %s each with 30", len(f.Account.Keys), most, each, least)
	}
	t.Logf("%d HSMs: bundle %d bytes, evidence %d; %s of the processor each, and %s each with 30", most, len(f.Files[ceremony.BundleFile]), len(f.Archive), each, least)
}
