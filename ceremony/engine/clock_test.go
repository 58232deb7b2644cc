package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A clock that is set back stops the ceremony at the next record, whichever it
// is; nothing is lost, and with the clock right it goes on.
func TestTheClockIsSetBack(t *testing.T) {
	stopped := 0
	for n := 4; ; n++ { // the first looks are before the first record, and its own
		f := testfleet.Prepared(t, testfleet.Options{HSMs: 2})
		c := f.Config(f.Dir, testfleet.Random("first"))
		right, looks := c.Now, 0
		c.Now = func() time.Time {
			if looks++; looks >= n {
				return right().Add(-time.Hour)
			}
			return right()
		}
		a, err := engine.Run(context.Background(), c)
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
		again := engine.Run
		if a != nil && a.Opened() {
			again = engine.Resume
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

// A second back, as a clock that is kept right makes now and then, stops nothing:
// records get the time of the one before.
func TestAClockThatGoesBackALittleStopsNothing(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 2})
	c := f.Config(f.Dir, testfleet.Random("first"))
	right, looks := c.Now, 0
	c.Now = func() time.Time {
		if looks++; looks%3 == 0 {
			return right().Add(-50 * time.Second)
		}
		return right()
	}
	a, err := engine.Run(context.Background(), c)
	if err != nil || a.FleetCheck == nil {
		t.Fatal(err)
	}
	_, tr, err := folder.ReadRecords(f.Dir)
	must(0, err)
	for i, r := range tr.Records[1:] {
		if r.Time.Before(tr.Records[i].Time) {
			t.Errorf("record %d is dated before record %d", r.N, r.N-1)
		}
	}
}

// later opens a fleet's ceremony with a clock that is off.
func later(f *testfleet.Fleet, off time.Duration) (*engine.Journal, error) {
	return engine.OpenJournal(f.Dir, testfleet.Program, func() time.Time { return f.Now().Add(off) }, testfleet.Random(off.String()))
}

const years = 10 * 365 * 24 * time.Hour

// A clock that jumps ahead by years is not taken silently: nothing is recorded,
// nobody asked, and with the clock right again everything goes on.
func TestAClockThatIsYearsAheadIsNoticed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	n := f.Account.N
	j := must(later(f, years))
	var clock *engine.ClockFault
	if _, err := j.Build(context.Background(), testfleet.Machine{}); !errors.As(err, &clock) {
		t.Errorf("built ten years later: %v", err)
	}
	must(0, j.Close())
	c := f.Config(f.Dir, testfleet.Random("abort"))
	right := c.Now
	c.Now = func() time.Time { return right().Add(years) }
	if _, err := engine.Abort(context.Background(), c, "why"); !errors.As(err, &clock) || keyCount(f) != 1 {
		t.Errorf("aborted ten years later, %d keys are left: %v", keyCount(f), err)
	}
	if a := must(folder.Read(f.Dir)); a.N != n {
		t.Errorf("%d records more", a.N-n)
	}
	j = must(later(f, 0))
	defer j.Close()
	must(j.Build(context.Background(), testfleet.Machine{}))
}

// A month of waiting is no jump if people say so.
func TestPeopleSayThatTheClockIsRight(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	now := f.Now().Add(years)
	wrong := now.Add(-3 * time.Minute)
	e := ceremony.Exception{Expected: "a week", Happened: "ten years", Decided: "to go on"}
	_, err := engine.ExplainClock(f.Dir, testfleet.Program, func() time.Time { return now }, testfleet.Random("x"), e, wrong)
	wantError(t, err, "the wall clock says")
	a := must(engine.ExplainClock(f.Dir, testfleet.Program, func() time.Time { return now }, testfleet.Random("x"), e, now))
	if x := a.Exceptions[0]; x.Clock == nil || !x.Clock.Wall.Equal(now) {
		t.Errorf("recorded is %+v", x)
	}
	j := must(later(f, years))
	defer j.Close()
	must(j.Build(context.Background(), testfleet.Machine{}))
}

// Records were written while the clock was years ahead, and it is right again:
// build, resume and abort are refused until an exception says so, or the abort
// itself does, and all of them go on then.
func TestAClockThatWasAheadIsNoDeadEnd(t *testing.T) {
	ahead := func(to testfleet.Stage) (f *testfleet.Fleet, now time.Time) {
		now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		f = testfleet.Prepared(t, testfleet.Options{HSMs: 2, Start: now.Add(years)})
		c := f.Config(f.Dir, testfleet.Random("ahead"))
		if to == testfleet.ToRequest { // interrupted halfway
			f.Tokens[1].Before = on("Generate", func(string) error { return errors.New("interrupted") })
		}
		a, err := engine.Run(context.Background(), c)
		f.Tokens[1].Before = nil
		if (err != nil) != (to == testfleet.ToRequest) || a.N == 0 {
			t.Fatal(err)
		}
		return f, now
	}
	explain := func(f *testfleet.Fleet, now time.Time) *ceremony.Account {
		e := ceremony.Exception{Expected: "this year", Happened: "the clock was ten years ahead", Decided: "set right"}
		a := must(engine.ExplainClock(f.Dir, testfleet.Program, func() time.Time { return now }, testfleet.Random("e"), e, now))
		people := must(a.People())
		must(0, f.Approve(context.Background(), f.Dir, people, must(a.ExceptionApproval(1)), nil))
		return a
	}
	at := func(f *testfleet.Fleet, now time.Time) engine.Config {
		c := f.Config(f.Dir, testfleet.Random("now"))
		c.Now = func() time.Time { now = now.Add(time.Second); return now }
		return c
	}

	f, now := ahead(testfleet.ToFleetRun)
	c := at(f, now)
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, c.Now, c.Random))
	_, err := j.Build(context.Background(), testfleet.Machine{})
	wantError(t, err, "is before that of record")
	must(0, j.Close())
	a := explain(f, now)
	j = must(engine.OpenJournal(f.Dir, testfleet.Program, c.Now, c.Random))
	set := must(j.Build(context.Background(), testfleet.Machine{}))
	if set.Created.After(now.Add(time.Minute)) {
		t.Errorf("the key set says that it was made at %s", set.Created)
	}
	must(0, j.Close())
	if again := must(folder.Read(f.Dir)); again.Time.After(now.Add(time.Minute)) || again.N <= a.N {
		t.Errorf("replayed, its last record is of %s", again.Time)
	}

	f, now = ahead(testfleet.ToRequest)
	_, err = engine.Resume(context.Background(), at(f, now))
	wantError(t, err, "is before that of record")
	explain(f, now)
	if a, err := engine.Resume(context.Background(), at(f, now.Add(time.Minute))); err != nil || a.FleetCheck == nil {
		t.Errorf("resumed: %v", err)
	}

	f, now = ahead(testfleet.ToRequest)
	c = at(f, now)
	_, err = engine.Abort(context.Background(), c, "why")
	wantError(t, err, "is before that of record")
	c = at(f, now)
	c.Wall = &now
	if a, err := engine.Abort(context.Background(), c, "why"); err != nil || len(a.Exceptions) != 1 || a.Exceptions[0].Clock == nil || keyCount(f) != 0 {
		t.Errorf("aborted: %v, %d keys, %+v", err, keyCount(f), a.Abort)
	}
	must(folder.Read(f.Dir))

	// A torn line too: nothing else could be recorded before.
	f, now = ahead(testfleet.ToRequest)
	path := filepath.Join(f.Dir, ceremony.TranscriptFile)
	must(0, os.WriteFile(path, append(must(os.ReadFile(path)), `{"n":99`...), 0o644))
	if a := explain(f, now); a.Exceptions[0].Torn != 7 {
		t.Errorf("it tells of %d torn bytes", a.Exceptions[0].Torn)
	}
	if a, err := engine.Resume(context.Background(), at(f, now.Add(time.Minute))); err != nil || a.FleetCheck == nil {
		t.Errorf("resumed after a torn line: %v", err)
	}
}
