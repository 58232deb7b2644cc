package simulation

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// follower is somebody who remembers on a disk what logs and auditors have shown: a
// witness, a monitor, whoever saves a history. It acts in rounds, each until it was
// told that all is done, as people do who look and try again.
type follower interface {
	// act is the process that this round takes; nil after the last round.
	act() func() error
	// end is after a power cut, when all is done: nothing is lost that somebody was
	// told of, or that somebody relies on.
	end() error
}

// followers make a follower that lives on a disk.
var followers = map[string]func(testing.TB, *simdisk.Disk) follower{
	"witness": newWitness, "monitor": newMonitor, "history": newHistory, "follow": newFollowing,
}

// mostTries is more than any number of faults here makes necessary.
const mostTries = 60

// followed is a follower's life.
type followed struct {
	disk   *simdisk.Disk
	steps  []string
	lived  int
	hits   int
	deaths int
	errors int
}

// leadFollower leads the life of a follower, whose disk fails so.
func leadFollower(t testing.TB, name string, seed uint64, hits schedule, leave func(simdisk.Call) bool) (*followed, error) {
	l := &followed{disk: simdisk.New(t, seed)}
	f := followers[name](t, l.disk)
	l.disk.Leave = leave
	l.disk.Fault = func(c simdisk.Call) simdisk.Fault {
		for _, h := range hits {
			if h.call == c.N && h.fault.Hits(c) {
				l.hits++
				return h.fault
			}
		}
		return simdisk.None
	}
	for range mostTries {
		do := f.act()
		if do == nil {
			l.lived = l.disk.Calls()
			l.disk.Fault = nil
			l.disk.Cut()
			return l, f.end()
		}
		err := l.disk.Run(do)
		if death := (*simdisk.Death)(nil); errors.As(err, &death) {
			l.deaths++
		} else if err != nil {
			l.errors++
			if strings.HasPrefix(err.Error(), "panic") {
				return l, err
			}
		}
		l.steps = append(l.steps, fmt.Sprintf("after call %d: %v", l.disk.Calls(), err))
	}
	return l, errors.New("it never comes to an end")
}

// followFor leads one such life, and says of one that went wrong how it is seen again.
func (s *tally) followFor(t *testing.T, name string, seed uint64, hits schedule) {
	t.Helper()
	l, err := leadFollower(t, name, seed, hits, nil)
	s.lives, s.calls, s.hits, s.deaths, s.errors = s.lives+1, s.calls+l.disk.Calls(), s.hits+l.hits, s.deaths+l.deaths, s.errors+l.errors
	if err == nil {
		return
	}
	t.Errorf("%v\n%s\nto see it again: %s='%s %d %s' go test ./internal/simulation -run TestOneFollower -v", err, strings.Join(l.steps[max(0, len(l.steps)-12):], "\n"), replayFault, name, seed, hits)
	if os.Getenv(replayFault) != "" {
		t.Logf("the disk:\n%v", l.disk.Trace)
	}
}

// single are all single faults of a follower's life.
func (l *followed) single() (list []schedule) {
	for _, c := range l.disk.Trace[:l.lived] {
		for _, f := range simdisk.Faults {
			if f.Hits(c) {
				list = append(list, schedule{{operator, c.N, f}})
			}
		}
	}
	return list
}

// calm is a follower's life without a fault.
func calm(t *testing.T, name string) *followed {
	t.Helper()
	l, err := leadFollower(t, name, 1, nil, nil)
	if err != nil {
		t.Fatalf("without any fault: %v\n%s", err, strings.Join(l.steps, "\n"))
	}
	return l
}

// A witness, a monitor and a saved history outlive a fault at every call, and then
// several faults in one life: what they have seen is never forgotten.
func TestAFollowerOutlivesAFaultAtEveryCall(t *testing.T) {
	for name := range followers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, list := &tally{}, calm(t, name).single()
			for i := 0; i < len(list) && !t.Failed(); i += sample(5) {
				s.followFor(t, name, uint64(i+1), list[i])
			}
			t.Logf("%d of %d single faults: %v", s.lives, len(list), s)
		})
	}
}

func TestAFollowerOutlivesFaultUponFault(t *testing.T) {
	for name := range followers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, lived := &tally{}, calm(t, name).lived
			for seed := uint64(1); seed <= uint64(4000/sample(20)) && !t.Failed(); seed++ {
				s.followFor(t, name, seed, fewFaults(seed, lived))
			}
			t.Log(s)
		})
	}
}

// What a follower lost once stays mended: at every call of its kind, and what is
// lost of what was not synced is up to the seed.
func TestWhatAFollowerLostStaysMended(t *testing.T) {
	for _, x := range []struct {
		what, name string
		kind       simdisk.Kind
		path       string
		fault      simdisk.Fault
	}{
		{"an alarm is not written behind half of another", "monitor", simdisk.Write, "monitor/alarms.jsonl", simdisk.KillTorn},
		{"an alarm that a killed pass had not synced is there before the next one", "monitor", simdisk.Sync, "monitor/alarms.jsonl", simdisk.Kill},
		{"an alarm that could not be synced is there before the next one", "monitor", simdisk.Sync, "monitor/alarms.jsonl", simdisk.SyncDropped},
		{"no state tells of hashes that could not be synced", "monitor", simdisk.Sync, "monitor/hashes", simdisk.SyncDropped},
		{"a file that was saved by a run that was killed is there", "history", simdisk.Sync, "saved.jsonl", simdisk.Kill},
		{"a statement that could not be synced is there once it is relied on", "history", simdisk.Sync, "saved.jsonl", simdisk.SyncDropped},
		{"a run that could not be synced is there once it is relied on", "history", simdisk.Sync, "seen", simdisk.SyncDropped},
		{"evidence whose writer was killed is there once it is told of", "history", simdisk.SyncDir, "seen.evidence", simdisk.Kill},
	} {
		t.Run(x.what, func(t *testing.T) {
			hits := 0
			l := calm(t, x.name)
			for _, c := range l.disk.Trace[:l.lived] {
				if c.Kind == x.kind && c.Path == x.path {
					hits++
					for seed := range uint64(2) {
						(&tally{}).followFor(t, x.name, seed, schedule{{operator, c.N, x.fault}})
					}
				}
			}
			if hits == 0 {
				t.Error("there is no such call")
			}
		})
	}
}

// What is not synced is noticed, by follower.
func TestASyncThatAFollowerLeavesOutIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name string
		kind simdisk.Kind
		path string
	}{
		{"witness", simdisk.Sync, "(no name)"}, {"witness", simdisk.Sync, ".fleetctl-"}, {"witness", simdisk.SyncDir, "witness"},
		{"monitor", simdisk.Sync, ".fleetctl-"}, {"monitor", simdisk.SyncDir, "monitor"}, {"monitor", simdisk.Sync, "alarms.jsonl"}, {"monitor", simdisk.Sync, "hashes"},
		{"history", simdisk.Sync, "saved.jsonl"}, {"history", simdisk.Sync, "seen"}, {"history", simdisk.SyncDir, ""}, {"history", simdisk.Sync, "(no name)"},
	} {
		leave := func(at simdisk.Call) bool { return at.Kind == c.kind && strings.Contains(at.Path, c.path) }
		list, noticed := calm(t, c.name).single(), error(nil)
		for seed := 0; seed < len(list) && noticed == nil; seed++ {
			if list[seed][0].fault == simdisk.Cut {
				_, noticed = leadFollower(t, c.name, uint64(seed), list[seed], leave)
			}
		}
		if noticed == nil {
			t.Errorf("nobody noticed that %s of %q is left out by the %s", c.kind, c.path, c.name)
		}
	}
}

// TestOneFollower sees a failure again; without one it reads the faults of a good life.
func TestOneFollower(t *testing.T) {
	name, rest, _ := strings.Cut(os.Getenv(replayFault), " ")
	if followers[name] == nil {
		name, rest = "monitor", "1 operator:9:kill,operator:12:power-cut-within"
	}
	seed, hits := readReplay(t, rest)
	(&tally{}).followFor(t, name, seed, hits)
}
