package thirdparty

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxEntry bounds a line: a statement, and before a gap those of others.
const maxEntry = 128 << 10

// Ledger is the third party's own record of everything it signed: one line an
// entry, hash-chained, on the disk before a signature leaves. From it come the
// promises that no operator can check for itself: an epoch is signed once, a
// digest never recurs, time never goes back.
type Ledger struct {
	// Torn is how many bytes of a last line without its end there were: a
	// power failure, and a signature that never left. They are kept in TornAt.
	Torn   int
	TornAt string

	path    string
	key     [32]byte
	unlock  func() // nil of one that is only read
	mu      sync.Mutex
	head    [32]byte
	entries []entry
	guard   *guard  // nil of one that is only read
	old     *Ledger // of the key before this one; nil where there was none
	broken  error
	// lacksEnd says that the last entry is whole but for its line end.
	lacksEnd bool
}

// entry is one line. Its statement carries namespace, epoch, digest and time.
type entry struct {
	N         int      `strict:"n"`
	Prev      [32]byte `strict:"prev,hex"`
	Core      [32]byte `strict:"core,hex"` // SHA-256 of what was asked: a request's core, or a notice
	Statement []byte   `strict:"statement,base64"`
	Gap       *gapFile `strict:"gap,optional"`

	statement *bundle.Statement
	gap       *Gap
}

// genesis is what the first entry follows: a ledger belongs to one key.
func genesis(key [32]byte) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "fleetctl third-party-ledger v1\n%x\n", key))
}

// OpenLedger reads the ledger of a key, checks it from its first entry to its
// last, and keeps others from signing with it until Close. One that doesn't
// exist is an error: InitLedger begins it, and nothing else does.
//
// Its guard lies beside it. A ledger that lacks what the guard has seen was put
// back from a copy, and isn't opened.
func OpenLedger(path string, key [32]byte) (*Ledger, error) {
	return OpenGuarded(path, GuardPath(path), key)
}

// ReadLedger is OpenLedger for whoever only looks: it takes no lock and changes
// nothing. Entries are appended whole, so a line without its end is one that is
// being written, or was cut off.
func ReadLedger(path string, key [32]byte) (*Ledger, error) { return readLedger(path, key) }

func readLedger(path string, key [32]byte) (*Ledger, error) {
	if err := keys.AdmitEd25519(key[:]); err != nil {
		return nil, strict.Errorf(path, "the ledger's key %v", err)
	}
	l := &Ledger{path: path, key: key, head: genesis(key)}
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(path)
	}
	if err != nil {
		return nil, err
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	l.Torn = len(data) - len(whole)
	n := 0
	for line := range bytes.Lines(whole) {
		n++
		if err := l.readEntry(n, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return nil, err
		}
	}
	// A whole entry that lacks its line end alone is one that was signed: to
	// drop it would let its epoch be signed again.
	if l.Torn > 0 && l.readEntry(n+1, data[len(whole):]) == nil {
		l.Torn, l.lacksEnd = 0, true
	}
	return l, nil
}

// absent is what a ledger that isn't there is: never an empty one.
func absent(path string) error {
	return strict.Errorf(path, "does not exist: there is no such ledger").
		WithHint("a key has one ledger: name it by its path. Only a key that never signed gets a new one:\nfleetctl thirdparty init %s --public-key KEY", path)
}

// keepTorn takes the line cut off out of the ledger and keeps it beside it.
func (l *Ledger) keepTorn() error {
	if l.lacksEnd {
		return l.write([]byte("\n"))
	}
	if l.Torn == 0 {
		return nil
	}
	data, err := durable.ReadFile(l.path)
	if err != nil {
		return err
	}
	whole := len(data) - l.Torn
	l.TornAt = fmt.Sprintf("%s.torn-%d", l.path, whole)
	if err := durable.Create(l.TornAt, data[whole:], 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.Truncate(l.path, int64(whole))
}

// Close lets others sign with the ledger.
func (l *Ledger) Close() {
	if l.unlock != nil {
		l.unlock()
	}
}

// Key is whose ledger it is.
func (l *Ledger) Key() [32]byte { return l.key }

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
	if e.gap, err = readGap(l.path, e.Gap, s); err != nil {
		return strict.At(l.path, n, "entry %d: %v", n, err)
	}
	e.statement = s
	l.entries, l.head = append(l.entries, e), sha256.Sum256(line)
	return nil
}

// Continues says that this ledger's key takes over from another's: what the old
// ledger signed binds this one too, and its last statements are the ones that
// the first requests name. The old ledger stays as it is.
func (l *Ledger) Continues(old *Ledger) error {
	if old.key == l.key {
		return strict.Errorf(old.path, "is a ledger of the same key; a ledger doesn't continue itself")
	}
	l.old = old
	return nil
}

// bound are the entries that bind what is signed next, the oldest first.
func (l *Ledger) bound() []entry {
	if l.old == nil {
		return l.entries
	}
	return slices.Concat(l.old.entries, l.entries)
}

// last is the newest statement of a namespace, and its key; nil where there is
// none.
func (l *Ledger) last(namespace string) (*bundle.Statement, [32]byte) {
	for _, e := range slices.Backward(l.entries) {
		if e.statement.Namespace == namespace {
			return e.statement, l.key
		}
	}
	if l.old != nil {
		return l.old.last(namespace)
	}
	return nil, l.key
}

// answered is the statement that this very question got; nil where none.
func (l *Ledger) answered(subject [32]byte) *bundle.Statement {
	for _, e := range l.entries {
		if e.Core == subject {
			return e.statement
		}
	}
	return nil
}

// Statements are everything that was signed, in order.
func (l *Ledger) Statements() []*bundle.Statement {
	list := make([]*bundle.Statement, len(l.entries))
	for i, e := range l.entries {
		list[i] = e.statement
	}
	return list
}

// Gaps are the gaps before statements, by their place in Statements.
func (l *Ledger) Gaps() map[int]*Gap {
	gaps := map[int]*Gap{}
	for i, e := range l.entries {
		if e.gap != nil {
			gaps[i] = e.gap
		}
	}
	return gaps
}

// Export is everything that was signed, as served, a line each: what others
// check with fleetctl history.
func (l *Ledger) Export() []byte {
	var b bytes.Buffer
	for _, e := range l.entries {
		b.Write(e.statement.Raw())
		b.WriteByte('\n')
	}
	return b.Bytes()
}
