package epochs

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
)

// TestWhatFollowsIsMadeLoggedAndSeenAfterWhatItFollows holds pairs against each other whose
// times and entries no honest log gives, and so no test makes whole.
func TestWhatFollowsIsMadeLoggedAndSeenAfterWhatItFollows(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 10, 0, 0, 0, time.UTC) }
	made := func(epoch uint64, n int, entry *evidence.LogEntry) *evidence.Told {
		return &evidence.Told{File: "x", About: bundle.About{Epoch: epoch}, Created: day(n), Logged: entry}
	}
	in := func(log string, index, size uint64, seen int) *evidence.LogEntry {
		l := &evidence.LogEntry{Origin: log, Index: index, Size: size}
		if seen > 0 {
			at := day(seen)
			l.Witnessed = &at
		}
		return l
	}
	for name, c := range map[string]struct {
		a, b *evidence.Told
		want string
	}{
		"one after the other":                       {made(1, 1, in("a", 0, 1, 2)), made(2, 3, in("a", 1, 2, 4)), ""},
		"made within what clocks differ by":         {made(1, 1, nil), &evidence.Told{Created: day(1).Add(-5 * time.Minute)}, ""},
		"made a little more before":                 {made(1, 1, nil), &evidence.Told{Created: day(1).Add(-5*time.Minute - time.Second)}, "says that it was made at"},
		"seen before the first was made":            {made(1, 5, in("a", 0, 1, 6)), made(2, 7, in("b", 0, 1, 3)), "was seen by witnesses by 2026-11-03"},
		"entries the wrong way":                     {made(1, 1, in("a", 5, 6, 2)), made(2, 3, in("a", 4, 5, 4)), "it was logged after what follows it"},
		"one entry for both":                        {made(1, 1, in("a", 5, 6, 0)), made(2, 3, in("a", 5, 6, 0)), "it was logged after what follows it"},
		"a smaller tree seen after a larger one":    {made(1, 1, in("a", 0, 1, 9)), made(2, 3, in("a", 1, 2, 4)), "which is before it, was seen by"},
		"the first one's proof made anew":           {made(1, 1, in("a", 0, 7, 9)), made(2, 3, in("a", 1, 2, 4)), ""},
		"two logs, the first seen later":            {made(1, 1, in("a", 9, 10, 9)), made(2, 3, in("b", 0, 1, 4)), "which is before it, was seen by"},
		"two logs, each with its own count":         {made(1, 1, in("a", 9, 10, 2)), made(2, 3, in("b", 0, 1, 4)), ""},
		"two logs, and nobody saw the first":        {made(1, 1, in("a", 9, 10, 0)), made(2, 3, in("b", 0, 1, 4)), ""},
		"nothing logged, and made in order":         {made(1, 1, nil), made(2, 3, nil), ""},
		"only the second logged, and made in order": {made(1, 1, nil), made(2, 3, in("a", 0, 1, 4)), ""},
	} {
		if got := disorder(c.a, c.b); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAFleetIsRetiredBeforeAnotherHasItsNamespace: a change of the fleet that nothing
// explains is a problem.
func TestAFleetIsRetiredBeforeAnotherHasItsNamespace(t *testing.T) {
	of := func(epoch uint64, fleet string, retires bool) *evidence.Told {
		return &evidence.Told{File: "x", About: bundle.About{Epoch: epoch, Fleet: fleet, Retires: retires}}
	}
	for name, c := range map[string]struct {
		told []*evidence.Told
		want int
	}{
		"one fleet":              {[]*evidence.Told{of(1, "a", false), of(2, "a", false)}, 0},
		"retired between":        {[]*evidence.Told{of(1, "a", false), of(2, "a", true), of(3, "b", false)}, 0},
		"another out of nothing": {[]*evidence.Told{of(1, "a", false), of(2, "b", false)}, 1},
		"the other one retired":  {[]*evidence.Told{of(1, "a", false), of(2, "b", true)}, 1},
		"there and back":         {[]*evidence.Told{of(1, "a", false), of(2, "b", false), of(3, "a", false)}, 2},
	} {
		chain := &Chain{r: &Report{}, told: c.told}
		if chain.fleets(); len(chain.r.Problems) != c.want {
			t.Errorf("%s: %d problems, want %d: %+v", name, len(chain.r.Problems), c.want, chain.r.Problems)
		}
	}
}
