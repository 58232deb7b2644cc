package thirdparty

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const maxEntry = 16 << 10

// Ledger is the third party's own record of everything it signed: one line an
// entry, hash-chained, on the disk before a signature leaves. From it come the
// promises that no operator can check for itself: an epoch is signed once, a
// digest never recurs, time never goes back.
type Ledger struct {
	path    string
	key     [32]byte
	unlock  func()
	head    [32]byte
	entries []entry
	broken  error
}

// entry is one line. Its statement carries namespace, epoch, digest and time.
type entry struct {
	N         int      `strict:"n"`
	Prev      [32]byte `strict:"prev,hex"`
	Core      [32]byte `strict:"core,hex"` // SHA-256 of the request's core
	Statement []byte   `strict:"statement,base64"`

	statement *bundle.Statement
}

// genesis is what the first entry follows: a ledger belongs to one key.
func genesis(key [32]byte) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "fleetctl third-party-ledger v1\n%x\n", key))
}

// OpenLedger reads the ledger of a key, checks it from its first entry to its
// last, and keeps others from it until Close. A path that doesn't exist is an
// empty ledger: Sign begins it.
func OpenLedger(path string, key [32]byte) (*Ledger, error) {
	if err := keys.AdmitEd25519(key[:]); err != nil {
		return nil, strict.Errorf(path, "the ledger's key %v", err)
	}
	unlock, err := durable.Lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	l := &Ledger{path: path, key: key, unlock: unlock, head: genesis(key)}
	if err := l.read(); err != nil {
		unlock()
		return nil, err
	}
	return l, nil
}

// Close lets others at the ledger.
func (l *Ledger) Close() { l.unlock() }

// Key is whose ledger it is.
func (l *Ledger) Key() [32]byte { return l.key }

func (l *Ledger) read() error {
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i, line := range lines {
		if len(line) == 0 {
			break
		}
		if line[len(line)-1] != '\n' {
			// A line cut off by a power failure: its signature never left.
			return os.Truncate(l.path, int64(len(data)-len(line)))
		}
		if err := l.readEntry(i+1, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) readEntry(n int, line []byte) error {
	var e entry
	if err := strict.DecodeJSON(l.path, line, maxEntry, &e); err != nil {
		return strict.At(l.path, n, "entry %d: %v", n, err)
	}
	switch {
	case !bytes.Equal(strict.EncodeLine(e), line):
		return strict.At(l.path, n, "entry %d is not in its one canonical form", n)
	case e.N != n || e.Prev != l.head:
		return strict.At(l.path, n, "entry %d does not follow the one before, or the ledger is another key's", n)
	}
	s, err := bundle.ParseStatement(l.path, e.Statement)
	if err != nil {
		return strict.At(l.path, n, "entry %d: %v", n, err)
	}
	if err := s.Verify(l.key); err != nil {
		return strict.At(l.path, n, "entry %d: %v", n, err)
	}
	e.statement = s
	l.entries, l.head = append(l.entries, e), sha256.Sum256(line)
	return nil
}

// last is the newest statement of a namespace; nil where there is none.
func (l *Ledger) last(namespace string) *bundle.Statement {
	for i := len(l.entries) - 1; i >= 0; i-- {
		if s := l.entries[i].statement; s.Namespace == namespace {
			return s
		}
	}
	return nil
}

// answered is the statement that this very request got; nil where none.
func (l *Ledger) answered(core *bundle.Core) *bundle.Statement {
	for _, e := range l.entries {
		if e.Core == core.Subject() {
			return e.statement
		}
	}
	return nil
}

// check says whether the core may be signed next; again where it was signed
// already.
func (l *Ledger) check(file string, core *bundle.Core) (again bool, err error) {
	if l.answered(core) != nil {
		return true, nil
	}
	set := core.KeySet
	for _, e := range l.entries {
		if e.statement.Namespace == set.Namespace && e.statement.Digest == set.Digest() {
			return false, strict.Errorf(file, "its artifact was signed as epoch %d; a digest never recurs", e.statement.Epoch)
		}
	}
	last := l.last(set.Namespace)
	switch {
	case last == nil && set.Epoch > 1:
		return false, strict.Errorf(file, "asks for epoch %d, but the ledger has no statement of %s", set.Epoch, set.Namespace).
			WithHint("a ledger restored from a backup, or another's? Without the statements before, nothing is signed")
	case last == nil:
		return false, nil
	case set.Epoch <= last.Epoch:
		return false, strict.Errorf(file, "asks for epoch %d of %s, which the ledger has signed up to epoch %d: one epoch has one digest", set.Epoch, set.Namespace, last.Epoch)
	case set.Epoch != last.Epoch+1:
		return false, strict.Errorf(file, "asks for epoch %d of %s; the next one is %d", set.Epoch, set.Namespace, last.Epoch+1)
	}
	for _, s := range core.Previous {
		if s.Key == l.key {
			if !bytes.Equal(s.Statement.Raw(), last.Raw()) {
				return false, strict.Errorf(file, "names another last statement of ours than the ledger has")
			}
			return false, nil
		}
	}
	return false, strict.Errorf(file, "does not name our last statement, epoch %d", last.Epoch).
		WithHint("whoever made the request gives it with --previous-statement")
}

// Statements are everything that was signed, in order.
func (l *Ledger) Statements() []*bundle.Statement {
	list := make([]*bundle.Statement, len(l.entries))
	for i, e := range l.entries {
		list[i] = e.statement
	}
	return list
}
