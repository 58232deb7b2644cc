package replica_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
)

// traced records the steps of a node from now on.
func traced(n *node) (steps func() []string) {
	var mu sync.Mutex
	var list []string
	n.l.set(func(s string) (bool, bool) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, s)
		return false, false
	}, nil)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// inOrder says whether steps come one after the other, with others between them.
func inOrder(list []string, steps ...string) bool {
	for _, s := range list {
		if len(steps) > 0 && s == steps[0] {
			steps = steps[1:]
		}
	}
	return len(steps) == 0
}

func TestAnEntryIsOnTheDiskThenInTheAnchorThenAnswered(t *testing.T) {
	f := newFleet(t, 3, 31).run()
	f.begin()
	f.settled()
	traces := map[*node]func() []string{}
	for _, n := range f.nodes {
		traces[n] = traced(n)
	}
	f.is(guess.Registered, register(alice, 1, 5))
	done := 0
	for n, trace := range traces {
		list := trace()
		if inOrder(list, "write log", "sync log", "anchor", "anchored") {
			done++
		}
		for i, s := range list {
			if s == "anchor" && (i == 0 || list[i-1] != "sync log") {
				t.Errorf("%s: an anchor is written before its entry: %s", n.member.Name, strings.Join(list, ", "))
			}
		}
	}
	if done < 2 {
		t.Errorf("it was answered with the anchors of %d nodes", done)
	}
}

// isolated has the leader take an entry that nobody else gets, and the others go on
// without it for so many entries.
func isolated(f *fleet, entries int) (alone *node) {
	f.Helper()
	f.settled()
	await.Until(f, "a leader that is cut off takes an entry", func() bool {
		alone = f.leader()
		alone.cut = true
		f.wire()
		var none *replica.NoMajority
		if _, err := f.submit(alone, guessing(alice, 1000)); errors.As(err, &none) && none.Ambiguous {
			return true
		}
		alone.cut = false
		f.wire()
		return false
	})
	for i := range entries {
		f.is(guess.Unknown, guessing(alice, uint64(i)))
	}
	return alone
}

func TestTheAnchorGoesBackBeforeTheLogIsCutOff(t *testing.T) {
	for _, killed := range []string{"", "anchored", "truncate log", "sync log"} {
		t.Run(killed, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, 32)
			f.every = 1 << 20
			f.run()
			f.begin()
			alone := isolated(f, 3)
			trace := traced(alone)
			if killed != "" {
				alone.l.set(func(s string) (bool, bool) { return s == killed, false }, nil)
			}
			l := alone.l
			alone.cut = false
			f.wire()
			if killed == "" {
				f.settled()
				if list := trace(); !inOrder(list, "anchor", "anchored", "truncate log", "sync log", "write log", "sync log", "anchor") {
					t.Errorf("%s", strings.Join(list, ", "))
				}
				return
			}
			await.Until(t, "it is killed at "+killed, func() bool {
				select {
				case <-l.over:
					return true
				default:
					return false
				}
			})
			f.kill(alone, true)
			f.start(alone) // its anchor fits its disk, wherever it was killed
			f.settled()
		})
	}
}

// A node that comes back when the others have compacted their logs takes a snapshot.
func TestANodeThatWasAwayTakesTheFleetsSnapshot(t *testing.T) {
	for _, killed := range []string{"", "rename snapshot", "anchor", "anchored", "rename log"} {
		t.Run(killed, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, 33)
			f.every = 8
			f.run()
			f.begin()
			f.settled()
			away := f.follower()
			f.kill(away, true)
			n := uint64(0)
			await.Until(t, "the others have compacted their logs", func() bool {
				n++
				f.is(guess.Unknown, guessing(alice, n))
				return !slices.ContainsFunc(f.running(), func(n *node) bool { return n.r.Status().Snapshot < 40 })
			})
			if err := f.open(away); err != nil {
				t.Fatal(err)
			}
			if l := away.l; killed != "" {
				l.set(func(s string) (bool, bool) { return s == killed, false }, nil)
				await.Until(t, "it is killed at "+killed, func() bool {
					select {
					case <-l.over:
						return true
					default:
						f.is(guess.Unknown, guessing(alice, n))
						return false
					}
				})
				f.kill(away, true)
				f.start(away)
			}
			f.settled()
			if s := away.r.Status(); s.Snapshot < 40 || s.Epoch != 1 || s.Err != nil {
				t.Errorf("killed at %q: %+v", killed, s)
			}
		})
	}
}

// A leader that was cut off with more entries of its own than the fleet's snapshot
// reaches stops, and takes the fleet's at its next start.
func TestANodeWhoseLogWentAnotherWayStartsOnceMore(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 34)
	f.every = 1 << 20
	f.run()
	f.begin()
	f.is(guess.Registered, register(alice, 1, 1))
	f.settled()
	alone := f.leader()
	alone.cut = true
	f.wire()
	var waits sync.WaitGroup
	for i := range 30 { // more than the others will have
		waits.Go(func() { f.submit(alone, guessing("drill.bob", uint64(i))) })
	}
	waits.Wait()
	long := alone.r.Status().Last
	// The others erase, and so compact their logs, at once.
	f.is(guess.Counted, guessing(alice, 1))
	f.is(guess.Locked, guessing(alice, 2))
	for _, n := range f.running() {
		if n != alone {
			await.Until(t, "it has erased", func() bool { s := n.r.Status(); return s.Snapshot > 0 && !s.Erasing })
			if s := n.r.Status(); s.Last >= long || s.Snapshot == 0 {
				t.Fatalf("%s is at %d, its snapshot at %d; the node alone is at %d", n.member.Name, s.Last, s.Snapshot, long)
			}
		}
	}
	alone.cut = false
	f.wire()
	await.Until(t, "it has stopped", func() bool { return alone.r.Err() != nil })
	if err := alone.r.Err(); !errors.Is(err, replica.ErrOtherWay) {
		t.Fatal(err)
	}
	if err := alone.r.Close(); err != nil {
		t.Fatal(err)
	}
	f.start(alone)
	f.settled()
	f.is(guess.Locked, guessing(alice, 3))
	var ends []anchor.Anchor
	await.Until(t, "all have the same log", func() bool {
		ends = nil
		for _, n := range f.nodes {
			a, err := anchor.Load(n.memory)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, *a)
		}
		return ends[0].Head == ends[1].Head && ends[1].Head == ends[2].Head
	})
}
