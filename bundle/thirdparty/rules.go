package thirdparty

import (
	"bytes"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// wanted is what the ledger's rules look at: an artifact that is to be signed.
type wanted struct {
	file      string
	subject   [32]byte // of what was asked
	namespace string
	epoch     uint64
	digest    [32]byte
	before    [32]byte        // digest of the epoch before; zero at epoch 1
	previous  []bundle.Signed // the statements about the epoch before that it names
	parties   [][32]byte      // third parties of its plan
	notice    *bundle.Notice  // nil of a key set
	agreed    *Gap            // to which a person agreed; nil where to none
	adder     *Adder          // of the post-quantum signature; nil where none is added
	after     time.Time       // what it asks for existed by then: the release's record
}

func wantCore(file string, c *bundle.Core) *wanted {
	w := &wanted{
		file: file, subject: c.Subject(), namespace: c.KeySet.Namespace, epoch: c.KeySet.Epoch, digest: c.KeySet.Digest(),
		previous: c.Previous,
	}
	copy(w.before[:], c.KeySet.Previous) // none at epoch 1
	return w
}

// check says whether it may be signed next; again where it was signed already.
// Where it doesn't follow from the ledger but may be signed all the same, it
// gives the gap to which a person has to agree.
func (l *Ledger) check(w *wanted, others *others) (again bool, gap *Gap, err error) {
	if l.answered(w.subject) != nil {
		return true, nil, nil
	}
	for _, e := range l.bound() {
		if e.statement.Namespace == w.namespace && e.statement.Digest == w.digest {
			return false, nil, strict.Errorf(w.file, "its artifact was signed as epoch %d; a digest never recurs", e.statement.Epoch)
		}
	}
	if err := l.contradicted(w, others); err != nil {
		return false, nil, err
	}
	last, key := l.last(w.namespace)
	switch {
	case last == nil && w.epoch > 1:
		gap, err = l.gap(w, last, others)
		return false, gap, err
	case last == nil:
		return false, nil, nil
	case w.epoch <= last.Epoch:
		return false, nil, l.secondDigest(w, last)
	case w.notice != nil && w.notice.Voids() && w.epoch == last.Epoch+2:
		return false, nil, nil // the epoch that it voids is one that we never signed
	case w.epoch != last.Epoch+1:
		gap, err = l.gap(w, last, others)
		return false, gap, err
	case w.before != last.Digest:
		return false, nil, strict.Errorf(w.file, "follows the artifact %x, but we signed %x as epoch %d", w.before, last.Digest, last.Epoch)
	case w.notice != nil:
		return false, nil, nil
	}
	for _, s := range w.previous {
		if s.Key == key {
			if !bytes.Equal(s.Statement.Raw(), last.Raw()) {
				return false, nil, strict.Errorf(w.file, "names another last statement of ours than the ledger has").
					WithHint("a ledger restored from a backup? Or somebody else signs with this key: keep the request")
			}
			return false, nil, nil
		}
	}
	return false, &Gap{Last: last.Epoch, Epoch: last.Epoch, Digest: last.Digest}, nil
}

// secondDigest refuses an epoch that isn't after the last one, and names what was
// signed as that epoch.
func (l *Ledger) secondDigest(w *wanted, last *bundle.Statement) error {
	was := "it was passed over"
	for _, e := range l.bound() {
		if s := e.statement; s.Namespace == w.namespace && s.Epoch == w.epoch {
			was = fmt.Sprintf("%x was signed at %s", s.Digest, strict.FormatTime(s.Time()))
		}
	}
	return strict.Errorf(w.file, "asks for epoch %d of %s, which the ledger has signed up to epoch %d: one epoch has one digest. Epoch %d: %s, and now %x is asked for",
		w.epoch, w.namespace, last.Epoch, w.epoch, was, w.digest).
		WithHint("Sign nothing; ask the operator why. If the first was abandoned, they make a void")
}

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
	if now.Before(w.after.Add(-keys.ClockTolerance)) {
		return strict.Errorf(w.file, "was released at %s, and the clock says %s", strict.FormatTime(w.after), strict.FormatTime(now.UTC())).
			WithHint("set the clock right; if it is right, the operator's was not")
	}
	if now.Sub(newest) > bound {
		return strict.Errorf(l.path, "the newest time known is %s, and the clock says %s: it has jumped by more than %d days",
			strict.FormatTime(newest), strict.FormatTime(now.UTC()), int(bound/(24*time.Hour))).
			WithHint("set the clock right; if it is right, a larger clock_bound_days in the policy lets it pass")
	}
	return nil
}
