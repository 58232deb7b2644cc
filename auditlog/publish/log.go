//go:build unix

package publish

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Options say where a log's guard is and how long writing may wait.
type Options struct {
	Guard   string        // its directory; empty means the log's with .guard appended
	Timeout time.Duration // for the log's lock, and then for a signed checkpoint; 0 means 10 s
	// Reading is called with how many entries were read, of how many, while the
	// log's index is made again. It may be nil.
	Reading func(done, total uint64)
	// Kind says which entries belong in the log; the zero value is a fleet's log.
	Kind Kind
	// Signers say whose signatures a bundle must have; see [Log.Append]. They may be nil.
	Signers *Signers
}

func (o Options) tiled() tiled.Options {
	return tiled.Options{Guard: o.Guard, Keys: o.Kind.keys(), Timeout: o.Timeout, Reading: o.Reading}
}

// Init makes an empty log whose entries are identified as [Log.Append] does.
func Init(dir, vkey string, o Options) error { return tiled.Init(dir, vkey, o.tiled()) }

// Log is a log's directory.
type Log struct {
	dir     string
	reader  *tiled.Reader
	options Options
}

// Open opens a log's directory. That takes no key and no lock.
func Open(dir string, o Options) (*Log, error) {
	r, err := tiled.OpenReader(dir)
	if err != nil {
		return nil, err
	}
	return &Log{dir, r, o}, nil
}

// VKey is the log's verifier key.
func (l *Log) VKey() string { return l.reader.VKey() }

// Origin is the log's name.
func (l *Log) Origin() string {
	origin, _, _ := strings.Cut(l.VKey(), "+")
	return origin
}

// Refusal is a fault that running again doesn't mend: it lies in what was to be
// logged, in a file that was given, or in the log itself.
type Refusal struct{ Err error }

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Entry is an entry of a log with exactly the bytes that were to be logged.
type Entry struct {
	Index     uint64
	Duplicate bool // it was there before

	log    *Log
	reader *tiled.Reader
	leaf   []byte
}

// VKey is the verifier key of the entry's log.
func (e *Entry) VKey() string { return e.log.VKey() }

// Append adds a leaf, a bundle's bytes or an ending's (see [Leaf]), and waits
// until a signed checkpoint covers it. A leaf that is in the log already is not
// added again. One that is about the same as another entry (the same epoch's
// artifact, the same ceremony's end) is a [*Refusal]. So is a bundle that lacks a
// signature by Options.Signers, and one with post-quantum signatures, or after such a
// one, where they are nil.
func (l *Log) Append(ctx context.Context, s note.Signer, leaf []byte) (*Entry, error) {
	if err := l.options.Kind.known(leaf); err != nil {
		return nil, &Refusal{err}
	}
	if err := l.signed(ctx, leaf); err != nil {
		return nil, &Refusal{err}
	}
	w, err := tiled.Open(l.dir, s, l.options.tiled())
	if err != nil {
		return nil, err
	}
	at, err := w.Append(ctx, leaf)
	if err != nil {
		return nil, err
	}
	return l.entry(ctx, w.Reader, at[0].Index, at[0].Duplicate, leaf)
}

// Find gives the leaf's entry, nil where it is not in the log.
func (l *Log) Find(ctx context.Context, leaf []byte) (*Entry, error) {
	index, found, err := l.reader.Find(ctx, l.options.Kind.keys(), leaf)
	if err != nil && !errors.Is(err, tiled.ErrNoCheckpoint) {
		return nil, err
	}
	if !found {
		return nil, nil
	}
	return l.entry(ctx, l.reader, index, true, leaf)
}

// entry demands that an entry is exactly leaf.
func (l *Log) entry(ctx context.Context, r *tiled.Reader, index uint64, duplicate bool, leaf []byte) (*Entry, error) {
	have, err := r.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	if string(have) != string(leaf) {
		return nil, &Refusal{otherEntry(index, have, leaf)}
	}
	return &Entry{index, duplicate, l, r, leaf}, nil
}

// Request is what a witness without a network needs to cosign the newest
// checkpoint: the checkpoint, and the proof that it continues the tree of size old,
// which this witness has cosigned last (C2SP tlog-witness, add-checkpoint).
func (l *Log) Request(ctx context.Context, old uint64) (*auditlog.Request, error) {
	c, err := l.reader.Checkpoint()
	if errors.Is(err, tiled.ErrNoCheckpoint) {
		return nil, &Refusal{err}
	}
	if err != nil {
		return nil, err
	}
	if old > c.Size {
		return nil, &Refusal{strict.Errorf(l.dir, "has %d entries under its checkpoint, fewer than the %d that the witness is said to have cosigned", c.Size, old).
			WithHint("If a witness has cosigned so many, this directory is older than the log: stop, and find the newest copy.")}
	}
	r := &auditlog.Request{Old: old, Checkpoint: c}
	r.Hashes, err = l.reader.Consistency(ctx, old, c.Size)
	return r, err
}
