package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// uptime is a clock that nobody sets and that goes on while the computer sleeps,
// counted from its start; boot names that start. It is empty where there is none.
type uptime struct {
	boot string
	at   time.Duration
}

// clockWatch compares the clock with a steady one. What they said when fleetctl last
// looked is in the private folder, so that one command notices what happened
// since another: it is never evidence of anything.
type clockWatch struct {
	read func() uptime
	path string
	then uptime
	wall time.Time // at then; zero where nothing is known
	// known says that the clock was compared with the steady one since the last
	// record, or with another clock by people.
	known bool
	here  uptime // when this process last told how long the computer slept
	mono  time.Time
}

const watchFormat = "fleetctl clock v1"

// openClockWatch reads what an earlier command left.
func openClockWatch(dir string, read func() uptime) (*clockWatch, error) {
	w := &clockWatch{read: read, path: filepath.Join(dir, ceremony.PrivateDir, "clock")}
	data, err := durable.ReadFile(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	l := strict.NewLines(w.path, data)
	l.Literal(watchFormat)
	w.then.boot = l.Token("boot ")
	seconds, err := strict.ParseUint(l.After("steady "))
	l.Check(err)
	w.then.at = time.Duration(seconds) * time.Second
	w.wall, err = strict.ParseTime(l.After("wall "))
	l.Check(err)
	if err := l.Done(); err != nil {
		return nil, strict.Errorf(w.path, "%v", err).WithHint("it helps to notice that the clock was set, and nothing else: move it away")
	}
	return w, nil
}

// hasMonotonic says that a time is of this computer's clock: it has a second reading that
// nobody sets, which a test's own time lacks.
func hasMonotonic(now time.Time) bool { return now != now.Round(0) }

// comparable says that the steady clock can be compared with what it said then.
func (w *clockWatch) comparable(now time.Time) bool {
	return !w.wall.IsZero() && hasMonotonic(now) && w.then.boot != "" && w.read().boot == w.then.boot
}

// ahead is how much further the clock went on than the steady one.
func (w *clockWatch) ahead(now time.Time) time.Duration {
	if !w.comparable(now) {
		return 0
	}
	return now.Round(0).Sub(w.wall) - (w.read().at - w.then.at)
}

// slack is what a clock may be corrected by meanwhile: a little at once, and a
// little more every day.
func (w *clockWatch) slack(now time.Time) time.Duration {
	if !w.comparable(now) {
		return clockSlack
	}
	return clockSlack + (w.read().at-w.then.at)/1000
}

// begin is how a command begins to watch.
func (w *clockWatch) begin(root string, now time.Time) {
	w.known = w.comparable(now)
	if w.here, w.mono = w.read(), now; !w.known {
		w.look(root, now)
		w.known = false
	}
}

// look notes what both clocks say now, for this command and the next. Where that
// can't be written the next one notices less, and nothing is stopped.
func (w *clockWatch) look(root string, now time.Time) {
	w.known = true
	if !hasMonotonic(now) {
		return
	}
	if w.then, w.wall = w.read(), now.Round(0).UTC().Truncate(time.Second); w.then.boot == "" {
		return
	}
	_ = folder.Temp(root).Replace(w.path, fmt.Appendf(nil, "%s\nboot %s\nsteady %d\nwall %s\n",
		watchFormat, w.then.boot, int(w.then.at.Seconds()), strict.FormatTime(w.wall)), 0o600)
}

// slept is how long the computer slept since it was last told.
func (w *clockWatch) slept(now time.Time) time.Duration {
	if !hasMonotonic(now) || w.here.boot == "" {
		return 0
	}
	s := w.read()
	d := s.at - w.here.at - now.Sub(w.mono)
	if d > clockSlack {
		w.here, w.mono = s, now
		return d
	}
	return 0
}
