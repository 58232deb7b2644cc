package ceremony_test

import (
	"context"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A clock that is set back stops the ceremony at the next record, whichever it
// is; nothing is lost, and with the clock right it goes on.
func TestTheClockIsSetBack(t *testing.T) {
	stopped := 0
	for n := 3; ; n++ { // the first two looks are the first record's
		f := testfleet.Prepared(t, testfleet.Options{HSMs: 2})
		c := f.Config(f.Dir, testfleet.Random("first"))
		right, looks := c.Now, 0
		c.Now = func() time.Time {
			if looks++; looks >= n {
				return right().Add(-time.Hour)
			}
			return right()
		}
		a, err := ceremony.Run(context.Background(), c)
		if err == nil {
			if looks < n {
				break // it was over before
			}
			t.Fatalf("look %d: nobody minds", n)
		}
		if a != nil && a.Abort != nil {
			t.Fatalf("look %d: aborted: %v", n, err)
		}
		if a != nil && a.N > 0 {
			wantError(t, err, "is before that of record")
			stopped++
		}
		again := ceremony.Run
		if a != nil && a.Opened() {
			again = ceremony.Continue
		}
		a, err = again(context.Background(), f.Config(f.Dir, testfleet.Random("again")))
		if err != nil || a.FleetCheck == nil {
			t.Fatalf("look %d, the clock right again: %v", n, err)
		}
		if keys := keyCount(f); keys != 2 {
			t.Errorf("look %d: %d keys", n, keys)
		}
	}
	if stopped < 20 {
		t.Errorf("it was stopped %d times", stopped)
	}
}
