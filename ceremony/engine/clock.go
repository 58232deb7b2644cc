package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// clockSlack is how far this computer's clock may be corrected without people being
// asked.
const clockSlack = time.Minute

// longSilence is how much later than the last record the clock may be if there is no
// other clock to compare it with.
const longSilence = 30 * 24 * time.Hour

// ClockFault says that this computer's clock is wrong now or was wrong before. Nothing
// is recorded until people have looked at another clock.
type ClockFault struct{ err *strict.Error }

func (e *ClockFault) Error() string { return e.err.Error() }
func (e *ClockFault) Unwrap() error { return e.err }

// stamp is the time for a record: this computer's clock, unless that was set.
func (j *Journal) stamp(content any) (time.Time, error) {
	now := j.now()
	at, last := now.UTC().Truncate(time.Second), j.account.Time
	if ceremony.ClockOf(content) != nil || j.account.N == 0 {
		return at, nil // people compare the clock themselves
	}
	switch ahead := j.watch.ahead(now); {
	case at.Before(last) && last.Sub(at) <= clockSlack:
		return last, nil // the clock was set back a little
	case at.Before(last):
		return at, j.clockFault("this computer's clock says %s, which is before that of record %d, %s", strict.FormatTime(at), j.account.N, strict.FormatTime(last))
	case ahead.Abs() > j.watch.slack(now):
		return at, j.clockFault("this computer's clock was set %s by %s since fleetctl last looked at it: it says %s", forward(ahead), strict.FormatDuration(ahead.Abs().Round(time.Second)), strict.FormatTime(at))
	case !j.watch.known && at.Sub(last) > longSilence:
		return at, j.clockFault("this computer's clock says %s, %d days after record %d", strict.FormatTime(at), int(at.Sub(last).Hours()/24), j.account.N)
	}
	return at, nil
}

// forward says which way a clock was set.
func forward(ahead time.Duration) string {
	if ahead < 0 {
		return "back"
	}
	return "forward"
}

func (j *Journal) clockFault(format string, args ...any) error {
	return &ClockFault{strict.Errorf(j.dir, format, args...).WithHint(
		"look at another clock. If this one is wrong, set it right, and run the command again. If it is right now, say so on the record:\n"+
			"fleetctl ceremony exception %[1]s --clock 'YYYY-MM-DD HH:MM' --expected … --happened … --decided …\n"+
			"or end the ceremony:\nfleetctl ceremony abort %[1]s --clock 'YYYY-MM-DD HH:MM' --site SITE --reason …", j.dir)}
}

// clockStands says whether a record could get its time now. The engine asks before
// people are asked for anything, or a key is used or destroyed.
func (j *Journal) clockStands(content any) error {
	at, err := j.stamp(content)
	if err != nil {
		return err
	}
	return j.account.CheckTime(&ceremony.Record{Time: at, Content: content})
}

// ExplainClock records an exception that says that this computer's clock was set, with
// what people just read off another clock. It works on a transcript whose last line is
// torn, since no other record could be written before it.
func ExplainClock(dir string, is ceremony.Program, now func() time.Time, random io.Reader, e ceremony.Exception, wall time.Time) (*ceremony.Account, error) {
	j, torn, err := openTorn(dir, Config{Now: now, Random: random, Version: is.Version, Binary: is.Binary})
	if err != nil {
		return nil, err
	}
	defer j.Close()
	if err := j.explainClock(e, wall, torn); err != nil {
		return nil, err
	}
	return j.account, nil
}

func (j *Journal) explainClock(e ceremony.Exception, wall time.Time, torn []byte) error {
	e.Number, e.Torn, e.Clock = len(j.account.Exceptions)+1, len(torn), &ceremony.Clock{Since: j.account.Time, Wall: wall}
	if err := j.clockStands(&e); err != nil {
		return err
	}
	if err := j.dropTorn(torn); err != nil {
		return err
	}
	_, err := j.Append(&e)
	return err
}

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
