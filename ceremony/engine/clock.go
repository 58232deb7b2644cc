package engine

import (
	"io"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
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
