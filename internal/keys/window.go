package keys

import "time"

// Window is when a pinned key's signatures count. Zero times are open ends.
type Window struct {
	NotBefore        time.Time
	NotAfter         time.Time
	CompromisedAfter time.Time
}

// Counts says whether a signature counts. Inside the window it does; outside
// only if witnessed, the time by which a witness quorum had seen it, lies
// inside: a signer's own word about its time proves nothing once the key is
// out of its hands. A zero witnessed means that no quorum has seen it.
func (w Window) Counts(now, witnessed time.Time) bool {
	return w.holds(now) || !witnessed.IsZero() && w.holds(witnessed)
}

func (w Window) holds(t time.Time) bool {
	return (w.NotBefore.IsZero() || !t.Before(w.NotBefore)) &&
		(w.NotAfter.IsZero() || !t.After(w.NotAfter)) &&
		(w.CompromisedAfter.IsZero() || t.Before(w.CompromisedAfter))
}
