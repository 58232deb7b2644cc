// Package chain keeps the entries of a replicated log in one file, each chained to
// the one before by a hash, so that one hash says what the whole log was.
//
// Entries are appended and synced, cut off at the end, and compacted at the
// beginning: the file is then written anew, so that nothing of what was taken out
// is in it any more. What lies behind the last entry that is whole and fits the
// chain was torn by a crash, or changed, and is not read; who opens the log decides
// what that means.
package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// Entry is an entry of the log.
type Entry struct {
	Index, Term uint64
	Type        uint8
	Data, Extra []byte
}

// Point is a place in the log: an entry's index and term, and the chain's head
// there. The zero Point is the beginning of all logs.
type Point struct {
	Index, Term uint64
	Head        [32]byte
}

// Next is the point of the entry that follows.
func (p Point) Next(e *Entry) Point {
	h := sha256.New()
	h.Write([]byte("fleetctl fleet log entry 1\n"))
	h.Write(p.Head[:])
	h.Write(e.encode(nil))
	next := Point{Index: e.Index, Term: e.Term}
	h.Sum(next.Head[:0])
	return next
}

func (e *Entry) encode(out []byte) []byte {
	out = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(out, e.Index), e.Term)
	out = binary.BigEndian.AppendUint32(append(out, e.Type), uint32(len(e.Data)))
	return append(append(out, e.Data...), e.Extra...)
}

// Log is an open log. Reading goes on while something is written; what writes is
// called by one after the other.
type Log struct {
	path   string
	file   durable.File
	size   int64 // of what is whole in the file
	writes sync.Mutex
	failed error // what writing came to; nothing is written after it

	mu      sync.RWMutex // the fields below
	base    Point        // before the first entry
	entries []*Entry
	points  []Point // of each entry
	ends    []int64 // in the file, of each entry
}

// Open opens a log, and makes it where there is none.
func Open(path string) (*Log, error) {
	l := &Log{path: path}
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, l.Reset(Point{})
	}
	if err != nil {
		return nil, err
	}
	base, entries, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l.base, l.size = base, int64(headSize)
	at := base
	for _, e := range entries {
		at = at.Next(e)
		l.add(e, at)
	}
	return l, l.reopen()
}

// add adds an entry to what is in memory.
func (l *Log) add(e *Entry, at Point) {
	l.size += recordSize(e)
	l.entries, l.points, l.ends = append(l.entries, e), append(l.points, at), append(l.ends, l.size)
}

func (l *Log) reopen() (err error) {
	if l.file != nil {
		l.file.Close()
	}
	l.file, err = durable.OpenFile(l.path, os.O_RDWR, 0)
	return err
}

// Close closes the file. Nothing is written any more.
func (l *Log) Close() error {
	l.writes.Lock()
	defer l.writes.Unlock()
	if l.failed == nil {
		l.failed = fs.ErrClosed
	}
	return l.file.Close()
}

// Base is the point before the first entry.
func (l *Log) Base() Point {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.base
}

// Last is the last entry's point; Base where there is no entry.
func (l *Log) Last() Point {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last()
}

func (l *Log) last() Point {
	if n := len(l.points); n > 0 {
		return l.points[n-1]
	}
	return l.base
}

// At gives the point of an entry, or of Base.
func (l *Log) At(index uint64) (Point, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case index == l.base.Index:
		return l.base, true
	case index < l.base.Index || index > l.last().Index:
		return Point{}, false
	}
	return l.points[index-l.base.Index-1], true
}

// Entry gives an entry, which is not to be written to.
func (l *Log) Entry(index uint64) (*Entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index <= l.base.Index || index > l.last().Index {
		return nil, false
	}
	return l.entries[index-l.base.Index-1], true
}

// writing has one writer at work, and none after one that failed: what is on the
// disk is not known then.
func (l *Log) writing(write func() error) error {
	l.writes.Lock()
	defer l.writes.Unlock()
	if l.failed != nil {
		return l.failed
	}
	l.failed = write()
	return l.failed
}

// Append adds entries and returns once they are on the disk.
func (l *Log) Append(entries ...*Entry) error {
	return l.writing(func() error {
		at := l.Last()
		var out []byte
		points := make([]Point, len(entries))
		for i, e := range entries {
			if e.Index == 0 || e.Index != at.Index+1 || e.Term < at.Term || e.Term == 0 || len(e.Data) > MostData || len(e.Extra) > MostData {
				return fmt.Errorf("an entry %d of term %d and %d bytes can't follow entry %d of term %d", e.Index, e.Term, len(e.Data), at.Index, at.Term)
			}
			at = at.Next(e)
			points[i] = at
			out = appendRecord(out, e, at)
		}
		if _, err := l.file.WriteAt(out, l.size); err != nil {
			return err
		}
		if err := l.file.Sync(); err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, e := range entries {
			l.add(e, points[i])
		}
		return nil
	})
}

// Cut leaves the entries up to an index and takes away what comes after it, also
// what could not be read.
func (l *Log) Cut(index uint64) error {
	return l.writing(func() error {
		if _, ok := l.At(index); !ok {
			return fmt.Errorf("there is no entry %d to cut the log at", index)
		}
		n := index - l.base.Index
		size := int64(headSize)
		if n > 0 {
			size = l.ends[n-1]
		}
		err := l.file.Truncate(size)
		if err == nil {
			err = l.file.Sync()
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.entries, l.points, l.ends, l.size = l.entries[:n:n], l.points[:n:n], l.ends[:n:n], size
		return nil
	})
}

// Compact takes away the entries up to an index: the file is written anew.
func (l *Log) Compact(index uint64) error {
	return l.writing(func() error {
		to, ok := l.At(index)
		if !ok {
			return fmt.Errorf("there is no entry %d to compact the log to", index)
		}
		return l.rewrite(to, l.entries[index-l.base.Index:])
	})
}

// Reset takes all entries away; the next one follows the point.
func (l *Log) Reset(to Point) error {
	return l.writing(func() error { return l.rewrite(to, nil) })
}

func (l *Log) rewrite(base Point, entries []*Entry) error {
	out, at := appendHead(nil, base), base
	for _, e := range entries {
		at = at.Next(e)
		out = appendRecord(out, e, at)
	}
	if err := durable.Replace(l.path, out, 0o600); err != nil {
		return err
	}
	if err := l.reopen(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base, l.size, l.entries, l.points, l.ends = base, int64(headSize), nil, nil, nil
	at = base
	for _, e := range entries {
		at = at.Next(e)
		l.add(e, at)
	}
	return nil
}

var _ io.Closer = (*Log)(nil)
