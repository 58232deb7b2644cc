//go:build unix

package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Signers say whose signatures a bundle must have to be logged.
type Signers struct {
	// Trust is what pins them, of a ceremony's plan or a verifier's policy.
	Trust func(namespace string) (*bundle.Trust, error)
	Now   time.Time // by which keys' windows are judged
}

// signed refuses a bundle that lacks signatures: an artifact is logged once, and what is
// missing couldn't be added. A log doesn't know who has to sign, so it must be told
// wherever both a classical and a post-quantum signature may be wanted: for a bundle that
// has a post-quantum one, and for what follows such a bundle in this log. A bundle that is
// in the log already was judged when it was added.
func (l *Log) signed(ctx context.Context, leaf []byte) error {
	if l.options.Kind.Known != nil {
		return nil
	}
	b, err := bundle.ParseAny("", leaf)
	if err != nil {
		return nil // how a ceremony ended
	}
	if e, err := l.Find(ctx, leaf); err == nil && e != nil {
		return nil
	}
	a := b.About()
	if s := l.options.Signers; s != nil {
		trust, err := s.Trust(a.Namespace)
		if err == nil {
			_, err = b.Verify(trust, s.Now, nil)
		}
		if short := new(bundle.Short); errors.As(err, &short) {
			return strict.Errorf("", "the bundle %v", err).WithHint("an artifact is logged once: log its bundle when it has every signature")
		}
		return err
	}
	why := "it has a post-quantum signature"
	if !postQuantum(b) {
		before, err := l.before(ctx, a)
		if err != nil || before == nil || !postQuantum(before) {
			return err
		}
		why = fmt.Sprintf("the bundle of epoch %d before it, in this log, has a post-quantum signature", a.Epoch-1)
	}
	return strict.Errorf("", "%s, and nothing says whose signatures this bundle must have: one of two may be missing", why).
		WithHint("give the verifier's policy that requires them with --policy POLICY.yaml, or log the ceremony's folder")
}

// postQuantum says whether a bundle has a signature by an ML-DSA key.
func postQuantum(b *bundle.Bundle) bool {
	return slices.ContainsFunc(b.Statements, func(s bundle.Signed) bool { return s.Addition != nil }) ||
		slices.ContainsFunc(b.Countersignatures, func(c bundle.Countersignature) bool { return c.Key.Algorithm().IsMLDSA() })
}

// before is the bundle of the artifact that one follows, nil where this log has none.
func (l *Log) before(ctx context.Context, a bundle.About) (*bundle.Bundle, error) {
	if len(a.Previous) == 0 {
		return nil, nil
	}
	index, found, err := l.reader.FindKey(ctx, entryKeys, bundleKey(a.Namespace, a.Epoch-1, a.Previous))
	if errors.Is(err, tiled.ErrNoCheckpoint) || err == nil && !found {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entry, err := l.reader.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	return bundle.ParseAny(fmt.Sprintf("entry %d", index), entry)
}

func bundleKey(namespace string, epoch uint64, digest []byte) string {
	return fmt.Sprintf("bundle %s %d %x", namespace, epoch, digest)
}
