package simulation

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// What may be set for a run of the tests.
const (
	// replayFault is the seed and the faults of one life, as a failure prints them.
	replayFault = "FLEETCTL_FAULT"
	// simulateFor is how long to go on with seeds, as 1h.
	simulateFor = "FLEETCTL_SIMULATE"
)

// tally is what was simulated.
type tally struct {
	lives, calls, hits, deaths, errors int
}

func (s *tally) String() string {
	return fmt.Sprintf("%d lives; %d calls that change something, %d hit by a fault; %d processes ended and %d had an error; as many states gone on with, every life verified by a stranger; 0 lost, 0 unverifiable",
		s.lives, s.calls, s.hits, s.deaths, s.errors)
}

func (s *tally) add(l *life) {
	s.lives++
	for _, n := range l.calls() {
		s.calls += n
	}
	s.hits, s.deaths, s.errors = s.hits+l.hits, s.deaths+l.deaths, s.errors+l.errors
}

// lead leads one life, and says of one that went wrong how it is seen again.
func (s *tally) lead(t *testing.T, seed uint64, hits schedule) {
	t.Helper()
	l := newLife(t, seed)
	l.suffer(hits)
	err := l.live()
	s.add(l)
	if err == nil {
		return
	}
	steps := l.steps[max(0, len(l.steps)-12):]
	t.Errorf("%v\nafter %s\nto see it again: %s='%d %s' go test ./internal/simulation -run TestOneLife -v", err, strings.Join(steps, "\n      "), replayFault, seed, hits)
	if os.Getenv(replayFault) != "" {
		for _, name := range l.computers() {
			t.Logf("the disk of %s:\n%v", name, l.on(name).Trace)
		}
	}
}

// undisturbed is a life without a fault, whose calls are those to be hit.
func undisturbed(t *testing.T, k kind) *life {
	t.Helper()
	l := newLife(t, k.seed(1))
	if err := l.live(); err != nil {
		t.Fatalf("without any fault: %v\nafter %s", err, strings.Join(l.steps, "\n      "))
	}
	return l
}

// sample is every how manieth life is led: all of them by FLEETCTL_FULL=1. Where the
// race detector looks on, there is little for it to see: processes run one after
// the other.
func sample(some int) int {
	switch {
	case testing.Short() || await.RaceDetector:
		return 40 * some
	case os.Getenv("FLEETCTL_FULL") == "1":
		return 1
	}
	return some
}

// both leads lives on two cores: those from a number on, by steps of two.
func both(t *testing.T, do func(t *testing.T, from int)) {
	for from := range 2 {
		t.Run([]string{"even", "odd"}[from], func(t *testing.T) {
			t.Parallel()
			do(t, from)
		})
	}
}

// Whatever fails at whichever call: the ceremony is gone on with or aborted, nothing
// that anybody was told of is lost, and a stranger verifies the package.
func TestACeremonyOutlivesAFaultAtEveryCall(t *testing.T) {
	for name, c := range map[string]struct{ kind, some kind }{
		"one ceremony": {0, 12},
		"the next epoch, with three third parties":   {threeParties | twice, 40},
		"the destruction of what it made":            {destroys, 40},
		"an abort since the second HSM stays locked": {twoHSMs | abortsLocked, 40},
		"an abort once the key set is released":      {abortsBuilt, 40},
		"an abort of what was cut off":               {abortsCut, 20},
	} {
		t.Run(name, func(t *testing.T) {
			list := undisturbed(t, c.kind).every()
			step := sample(int(c.some))
			both(t, func(t *testing.T, from int) {
				s := &tally{}
				for i := from * step; i < len(list) && !t.Failed(); i += 2 * step {
					s.lead(t, c.kind.seed(uint64(i+1)), list[i])
				}
				t.Logf("%d of %d single faults: %v", s.lives, len(list), s)
			})
		})
	}
}

// Several faults in one life, the next often while what the one before left is
// being mended.
func TestACeremonyOutlivesFaultUponFault(t *testing.T) {
	base := map[kind]*life{}
	for _, k := range kinds {
		base[k] = undisturbed(t, k)
	}
	few := 800 / sample(8)
	both(t, func(t *testing.T, from int) {
		s, ends := &tally{}, time.Now().Add(howLong(t))
		for seed := from + 1; !t.Failed() && (s.lives < few || time.Now().Before(ends)); seed += 2 {
			k := kinds[seed%len(kinds)]
			s.lead(t, k.seed(uint64(seed)), base[k].several(uint64(seed)))
		}
		t.Log(s)
	})
}

// howLong is how long to go on; 0 is for a few seeds.
func howLong(t *testing.T) time.Duration {
	text := os.Getenv(simulateFor)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A disk that is full when a file is to get its name was taken for one without links,
// and the file written in place: half of it could be left.
func TestAFullDiskIsNotOneWithoutLinks(t *testing.T) {
	hits, err := parseSchedule("operator:283:ENOSPC,operator:288:ENOSPC,operator:291:kill,operator:298:EIO-that-drops-what-was-written")
	if err != nil {
		t.Fatal(err)
	}
	(&tally{}).lead(t, (twoHSMs | adjourned).seed(487), hits)
}

// The guard of a ledger was begun on a full disk by way of a temporary file, which a power
// cut left there and which was then taken for another ledger's guard.
func TestALedgerWhoseBeginningWasCutOffIsBegun(t *testing.T) {
	hits, err := parseSchedule("third-party:6:ENOSPC,third-party:11:power-cut")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(6) {
		(&tally{}).lead(t, seed, hits)
	}
}

// TestOneLife sees a failure again; without one it reads the faults of a good life.
func TestOneLife(t *testing.T) {
	text := os.Getenv(replayFault)
	if text == "" {
		text = "1 operator:30:kill,third-party:9:power-cut-within"
	}
	seed, hits := readReplay(t, text)
	(&tally{}).lead(t, seed, hits)
}

// readReplay reads a seed and its faults.
func readReplay(t *testing.T, text string) (uint64, schedule) {
	t.Helper()
	number, faults, _ := strings.Cut(text, " ")
	seed, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	hits, err := parseSchedule(faults)
	if err != nil {
		t.Fatal(err)
	}
	if hits.String() != faults {
		t.Errorf("%q is read as %q", faults, hits)
	}
	return seed, hits
}
