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

// uptime is a reading of the steady clock: the time since this computer was started,
// sleep included (CLOCK_BOOTTIME). boot identifies the start. It is empty on systems
// without such a clock.
type uptime struct {
	boot string
	at   time.Duration
}

// clockWatch compares this computer's clock with the steady one, to notice that
// somebody set it. The last readings of both are in a file in the private folder, so
// that a command also notices what happened since the last one. The file is no
// evidence.
type clockWatch struct {
	read func() uptime
	path string
	then uptime
	wall time.Time // the clock at then; zero if nothing is known
	// known says that since the last record the clock was compared with the steady one,
	// or by people with another clock.
	known bool
	here  uptime // when slept last returned a time, or begin was called
	mono  time.Time
}

const watchFormat = "fleetctl clock v1"

// openClockWatch reads the file that an earlier command wrote.
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
		return nil, strict.Errorf(w.path, "%v", err).WithHint("it only helps to notice that the clock was set: move it away")
	}
	return w, nil
}

// hasMonotonic says whether a time was read from this computer's clock: it then has a
// monotonic reading, which a time made by a test lacks.
func hasMonotonic(now time.Time) bool { return now != now.Round(0) }

// comparable says whether the steady clock can be compared with its last reading: the
// computer wasn't started again since.
func (w *clockWatch) comparable(now time.Time) bool {
	return !w.wall.IsZero() && hasMonotonic(now) && w.then.boot != "" && w.read().boot == w.then.boot
}

// ahead is how much further the clock has advanced than the steady one.
func (w *clockWatch) ahead(now time.Time) time.Duration {
	if !w.comparable(now) {
		return 0
	}
	return now.Round(0).Sub(w.wall) - (w.read().at - w.then.at)
}

// slack is how far the clock may have been corrected meanwhile: clockSlack, and a
// thousandth of the time since.
func (w *clockWatch) slack(now time.Time) time.Duration {
	if !w.comparable(now) {
		return clockSlack
	}
	return clockSlack + (w.read().at-w.then.at)/1000
}

// begin starts the watch of a command.
func (w *clockWatch) begin(root string, now time.Time) {
	w.known = w.comparable(now)
	if w.here, w.mono = w.read(), now; !w.known {
		w.look(root, now)
		w.known = false
	}
}

// look notes the readings of both clocks, for this command and the next. If they can't
// be written, the next command notices less; that is no error.
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

// slept is how long the computer slept since the last call that returned a time.
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
