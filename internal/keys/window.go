package keys

import (
	"errors"
	"time"
)

// ClockTolerance is how far the clocks of honest people and machines may be
// apart.
const ClockTolerance = 5 * time.Minute

// Window is when a pinned key's signatures count. An end that is nil is open;
// every time that is given is an end, the year 1 too: no value of a time means
// that there is none.
type Window struct {
	NotBefore        *time.Time
	NotAfter         *time.Time
	CompromisedAfter *time.Time
}

// Counts says whether a signature counts. Inside the window it does; outside
// only if witnessed, the time by which a witness quorum had seen it, lies
// inside: a signer's own word about its time proves nothing once the key is
// out of its hands. A nil witnessed means that no quorum has seen it.
//
// What was seen at a time was made then at the latest. So a signature that was
// seen before NotBefore never counts, whatever the time is now; that it was
// made after NotBefore is not shown by when it was seen.
func (w Window) Counts(now time.Time, witnessed *time.Time) bool {
	if witnessed == nil {
		return w.Holds(now)
	}
	if w.NotBefore != nil && witnessed.Before(*w.NotBefore) {
		return false
	}
	return w.Holds(now) || w.Holds(*witnessed)
}

// Holds says whether a time lies inside the window.
func (w Window) Holds(t time.Time) bool {
	return (w.NotBefore == nil || !t.Before(*w.NotBefore)) &&
		(w.NotAfter == nil || !t.After(*w.NotAfter)) &&
		(w.CompromisedAfter == nil || t.Before(*w.CompromisedAfter))
}

// ErrNoTime is the error of whoever judges without saying when.
var ErrNoTime = errors.New("no time was given to judge at")

// CheckNow refuses the zero time, which a caller forgot to set: before the
// end of every window, it would count a signature by any key.
func CheckNow(now time.Time) error {
	if now.IsZero() {
		return ErrNoTime
	}
	return nil
}
