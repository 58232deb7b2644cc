package keys

import (
	"errors"
	"time"
)

// ClockTolerance is how far the clocks of honest people and machines may be
// apart.
const ClockTolerance = 5 * time.Minute

// Window is when a pinned key's signatures count. A nil end is open. Any time
// that is given is an end, even the year 1: only nil means that there is none.
type Window struct {
	NotBefore        *time.Time
	NotAfter         *time.Time
	CompromisedAfter *time.Time
}

// Counts says whether a signature counts. It does if now lies inside the window.
// Otherwise it does only if witnessed, the time by which a quorum of witnesses
// had seen it, lies inside: once a key has left its owner's hands, what the
// signer says about the time proves nothing. A nil witnessed means that no quorum
// has seen it.
//
// A signature was made, at the latest, when it was seen. So one that was seen
// before NotBefore never counts, whatever the time is now. That one was made
// after NotBefore can't be shown by when it was seen.
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

// ErrNoTime is for a caller that gives no time to judge at.
var ErrNoTime = errors.New("no time was given to judge at")

// CheckNow refuses the zero time, which means that the caller forgot to set it.
// It lies before the end of every window, so a signature by any key would count.
func CheckNow(now time.Time) error {
	if now.IsZero() {
		return ErrNoTime
	}
	return nil
}
