package thirdparty

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Gap is where a ledger doesn't follow from itself: the epoch before the one
// that is asked for is not the last that it signed, or the request doesn't name
// that statement. It is signed only by a person who agrees to exactly this, and
// stands in the entry for good. The epochs that it passes over can't be signed
// any more.
type Gap struct {
	Last   uint64          // the last epoch that we signed; 0 where there is none
	Epoch  uint64          // the one directly before the one asked for
	Digest [32]byte        // of that epoch's artifact
	Stated []bundle.Signed // by other third parties, who say so
}

// Joins says that nothing of the namespace was signed before.
func (g *Gap) Joins() bool { return g.Last == 0 }

// Unnamed says that nothing is missing in the ledger: the request doesn't name
// our last statement, as one that was made before we signed late.
func (g *Gap) Unnamed() bool { return g.Last == g.Epoch }

func (g *Gap) String() string {
	switch {
	case g.Unnamed():
		return fmt.Sprintf("the request does not name our last statement, epoch %d, which is about the artifact that it follows", g.Last)
	case g.Joins():
		return fmt.Sprintf("we join at epoch %d: that epoch %d has digest %x is the word of others alone", g.Epoch+1, g.Epoch, g.Digest)
	}
	return fmt.Sprintf("we signed up to epoch %d and pass over %s for good: that epoch %d has digest %x is the word of others alone",
		g.Last, epochs(g.Last+1, g.Epoch), g.Epoch, g.Digest)
}

func epochs(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("epoch %d", from)
	}
	return fmt.Sprintf("epochs %d to %d", from, to)
}

// maxStated bounds the statements that an entry carries.
const maxStated = 16

type gapFile struct {
	Last   uint64       `strict:"last"`
	Epoch  uint64       `strict:"epoch"`
	Digest [32]byte     `strict:"digest,hex"`
	Stated []statedFile `strict:"stated"`
}

type statedFile struct {
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"`
}

func (g *Gap) file() *gapFile {
	if g == nil {
		return nil
	}
	f := &gapFile{Last: g.Last, Epoch: g.Epoch, Digest: g.Digest}
	for _, s := range g.Stated {
		f.Stated = append(f.Stated, statedFile{s.Key, s.Statement.Raw()})
	}
	return f
}

// readGap reads the gap before a statement. What it says was checked against
// policy and request when it was written; here it has to agree with itself.
func readGap(path string, f *gapFile, after *bundle.Statement) (*Gap, error) {
	if f == nil {
		return nil, nil
	}
	g := &Gap{Last: f.Last, Epoch: f.Epoch, Digest: f.Digest}
	switch {
	case g.Epoch+1 != after.Epoch || g.Last > g.Epoch || g.Epoch == 0:
		return nil, fmt.Errorf("its gap from epoch %d to %d is not before epoch %d", g.Last, g.Epoch, after.Epoch)
	case len(f.Stated) == 0 && !g.Unnamed() || len(f.Stated) > maxStated:
		return nil, fmt.Errorf("its gap rests on %d statements of others", len(f.Stated))
	}
	for _, x := range f.Stated {
		if err := keys.AdmitEd25519(x.Key[:]); err != nil {
			return nil, fmt.Errorf("its gap: a key %w", err)
		}
		s, err := bundle.ParseStatement(path, x.Statement)
		if err != nil {
			return nil, fmt.Errorf("its gap: %w", err)
		}
		if s.Namespace != after.Namespace || s.Epoch != g.Epoch || s.Digest != g.Digest {
			return nil, fmt.Errorf("its gap rests on a statement about something else")
		}
		if err := s.Verify(x.Key); err != nil {
			return nil, fmt.Errorf("its gap: %w", err)
		}
		g.Stated = append(g.Stated, bundle.Signed{Key: x.Key, Statement: s})
	}
	return g, nil
}

// gap is what a person would have to agree to so that the wanted is signed,
// though it doesn't follow from the ledger; an error where nobody may.
func (l *Ledger) gap(w *wanted, last *bundle.Statement, others *others) (*Gap, error) {
	refuse := func(hint string, args ...any) (*Gap, error) {
		err := strict.Errorf(w.file, "asks for epoch %d, but the ledger has no statement of %s", w.epoch, w.namespace)
		if last != nil {
			err = strict.Errorf(w.file, "asks for epoch %d of %s; the next one is %d", w.epoch, w.namespace, last.Epoch+1)
		}
		return nil, err.WithHint(hint, args...)
	}
	if w.notice != nil {
		return refuse("a ledger restored from a backup, or another's? A notice names no statement before it: it is signed by who signed the epoch before")
	}
	for _, s := range w.previous {
		if l.own(s.Key) {
			return refuse("a ledger restored from a backup, or another's? The request names a statement by our key about epoch %d, which the ledger lacks: keep the request", s.Statement.Epoch)
		}
	}
	g := &Gap{Epoch: w.epoch - 1, Digest: w.before}
	if last != nil {
		g.Last = last.Epoch
	}
	names := map[string]bool{}
	for _, s := range w.previous {
		if name, ok := others.name(s.Key); ok && len(g.Stated) < maxStated {
			names[name] = true
			g.Stated = append(g.Stated, s)
		}
	}
	if need := max(1, others.needed); len(names) < need {
		return refuse("a ledger restored from a backup, or another's? If we never signed those epochs: sign their requests first, in their order. Where that can't be,\n"+
			"a gap is signed on the word of %d third parties that the policy pins under others:; the request has statements of %d", need, len(names))
	}
	return g, nil
}

// own says whether a key is the ledger's, or one that it took over from.
func (l *Ledger) own(key [32]byte) bool {
	return key == l.key || l.old != nil && l.old.own(key)
}

// contradicted refuses an artifact where a third party that we know, from our
// policy or from the plan, signed another digest for the same epoch: a later
// request has brought its statement.
func (l *Ledger) contradicted(w *wanted, others *others) error {
	known := slices.Clone(w.parties)
	for _, o := range others.list {
		known = append(known, o.Key)
	}
	list, err := durable.ReadDir(l.othersDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, key := range known {
		begins := fmt.Sprintf("%s-%d-%x", w.namespace, w.epoch, key[:8])
		for _, e := range list {
			if !strings.HasPrefix(e.Name(), begins) || !strings.HasSuffix(e.Name(), ".json") {
				continue
			}
			file := filepath.Join(l.othersDir(), e.Name())
			data, err := durable.ReadFile(file)
			if err != nil {
				return err
			}
			s, err := bundle.ParseStatement(file, data)
			if err != nil {
				return err
			}
			if s.Namespace == w.namespace && s.Epoch == w.epoch && s.Digest != w.digest && s.Verify(key) == nil {
				return strict.Errorf(w.file, "its artifact is %x, but the third party %x signed %x as epoch %d: one epoch has one digest", w.digest, key[:8], s.Digest, w.epoch).
					WithHint("keep the request and %s: together they show that there are two", file)
			}
		}
	}
	return nil
}
