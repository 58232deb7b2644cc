package thirdparty

import (
	"bytes"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// wanted is what the ledger's rules look at: an artifact that is to be signed.
type wanted struct {
	file      string
	subject   [32]byte // of what was asked
	namespace string
	epoch     uint64
	digest    [32]byte
	previous  []bundle.Signed // the statements about the epoch before that it names
	notice    *bundle.Notice  // nil of a key set
	after     time.Time       // what it asks for existed by then: the release's record
}

func wantCore(file string, c *bundle.Core) *wanted {
	return &wanted{
		file: file, subject: c.Subject(), namespace: c.KeySet.Namespace, epoch: c.KeySet.Epoch, digest: c.KeySet.Digest(),
		previous: c.Previous,
	}
}

// check says whether it may be signed next; again where it was signed already.
func (l *Ledger) check(w *wanted) (again bool, err error) {
	if l.answered(w.subject) != nil {
		return true, nil
	}
	for _, e := range l.bound() {
		if e.statement.Namespace == w.namespace && e.statement.Digest == w.digest {
			return false, strict.Errorf(w.file, "its artifact was signed as epoch %d; a digest never recurs", e.statement.Epoch)
		}
	}
	last, key := l.last(w.namespace)
	switch {
	case last == nil && w.epoch > 1:
		return false, strict.Errorf(w.file, "asks for epoch %d, but the ledger has no statement of %s", w.epoch, w.namespace).
			WithHint("a ledger restored from a backup, or another's? Without the statements before, nothing is signed")
	case last == nil:
		return false, nil
	case w.epoch <= last.Epoch:
		return false, strict.Errorf(w.file, "asks for epoch %d of %s, which the ledger has signed up to epoch %d: one epoch has one digest", w.epoch, w.namespace, last.Epoch)
	case w.notice != nil && w.notice.Voids() && w.epoch == last.Epoch+2:
		return false, nil // the epoch that it voids is one that we never signed
	case w.epoch != last.Epoch+1:
		return false, strict.Errorf(w.file, "asks for epoch %d of %s; the next one is %d", w.epoch, w.namespace, last.Epoch+1)
	case w.notice != nil && w.notice.Previous != last.Digest:
		return false, strict.Errorf(w.file, "follows the artifact %x, but we signed %x as epoch %d", w.notice.Previous, last.Digest, last.Epoch)
	case w.notice != nil:
		return false, nil
	}
	for _, s := range w.previous {
		if s.Key == key {
			if !bytes.Equal(s.Statement.Raw(), last.Raw()) {
				return false, strict.Errorf(w.file, "names another last statement of ours than the ledger has").
					WithHint("a ledger restored from a backup? Or somebody else signs with this key: keep the request")
			}
			return false, nil
		}
	}
	return false, strict.Errorf(w.file, "does not name our last statement, epoch %d", last.Epoch).
		WithHint("whoever made the request gives it with --previous-statement")
}

// clockTolerance is how far the operator's clock may be ahead of ours.
const clockTolerance = 5 * time.Minute

// clock refuses a time that would be a lie, or that would keep the ledger from
// ever signing again: one before anything signed or asked for, and one so much
// later than both that the clock must have jumped.
func (l *Ledger) clock(w *wanted, now time.Time, bound time.Duration) error {
	newest := w.after
	for _, e := range l.bound() {
		t := e.statement.Time()
		if now.Before(t) {
			return strict.Errorf(l.path, "its last time is %s, and the clock says %s: time never goes back",
				strict.FormatTime(t), strict.FormatTime(now.UTC())).WithHint("set the clock right")
		}
		if t.After(newest) {
			newest = t
		}
	}
	if now.Before(w.after.Add(-clockTolerance)) {
		return strict.Errorf(w.file, "was released at %s, and the clock says %s", strict.FormatTime(w.after), strict.FormatTime(now.UTC())).
			WithHint("set the clock right; if it is right, the operator's was not")
	}
	if now.Sub(newest) > bound && !newest.IsZero() {
		return strict.Errorf(l.path, "the newest time known is %s, and the clock says %s: it has jumped by more than %d days",
			strict.FormatTime(newest), strict.FormatTime(now.UTC()), int(bound/(24*time.Hour))).
			WithHint("set the clock right; if it is right, a larger clock_bound_days in the policy lets it pass")
	}
	return nil
}
