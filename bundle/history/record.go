package history

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// recordFormat is the first line of a record.
const recordFormat = "fleetctl history-record v1"

// maxRecordLine bounds a line of a record, in bytes.
const maxRecordLine = 1 << 10

// Record is what earlier runs saw: a line with the fields of each statement, and
// after each run a line with the SHA-256 of everything before it. So it shows if a
// record was changed or a run was cut off, and a statement that is rewritten later
// can still be shown as it was.
type Record struct {
	Head [32]byte // SHA-256 of the file up to the last whole run
	Runs int
	Size int64 // up to the end of the last whole run; what follows is of a run that was cut off
	Last int64 // where the last whole run begins

	file io.ReaderAt
	name string

	names, keys []string // as numbered in the file
}

// OpenRecord reads a record and checks its chain. file is its whole content,
// name is for errors.
func OpenRecord(name string, file io.ReaderAt, size int64) (*Record, error) {
	r := &Record{file: file, name: name}
	err := r.scan(io.NewSectionReader(file, 0, size), func(int64, *recordLine) error { return nil })
	if err != nil {
		return nil, err
	}
	if r.Runs == 0 && size > 0 {
		return nil, strict.Errorf(name, "is no record, or its first run was cut off").WithHint("move it away and begin a new one")
	}
	return r, nil
}

// recordLine is a statement in a record.
type recordLine struct {
	ns, key   string
	statement bundle.Statement
}

// scan reads lines. A statement counts once its run's line has come.
func (r *Record) scan(in io.Reader, each func(at int64, l *recordLine) error) error {
	buf := bufio.NewReaderSize(in, 1<<16)
	hash := sha256.New()
	var names, keys []string
	var at int64
	fail := func(n int, format string, args ...any) error {
		return strict.At(r.name, n, "%s", fmt.Sprintf(format, args...)).
			WithHint("The record was changed after it was written. Keep it, and compare it with a copy.")
	}
	for n := 1; ; n++ {
		line, err := buf.ReadSlice('\n')
		if err == io.EOF {
			return nil // a line without its end is cut off
		}
		if bytes.IndexByte(line, 0) >= 0 && cutOff(buf) {
			return nil
		}
		if err != nil || len(line) > maxRecordLine {
			return fail(n, "has a line that is too long")
		}
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		word, rest, _ := strings.Cut(text, " ")
		switch {
		case n == 1 && text == recordFormat:
		case n == 1:
			return strict.At(r.name, 1, "is not %q", recordFormat)
		case word == "namespace" && strict.CheckToken(rest) == nil && len(names) < maxNames:
			names = append(names, rest)
		case word == "key" && len(keys) < maxNames:
			if b, err := strict.ParseBase64(rest); err != nil || len(b) != 32 {
				return fail(n, "has no key")
			}
			keys = append(keys, rest)
		case word == "run":
			f := strings.Fields(rest)
			if len(f) != 2 || f[1] != hex.EncodeToString(hash.Sum(nil)) {
				return fail(n, "the digest of all lines before it does not fit")
			}
			if _, err := strict.ParseTime(f[0]); err != nil {
				return fail(n, "its time %v", err)
			}
			r.Runs++
			r.Last, r.Size = r.Size, at+int64(len(line))
			r.names, r.keys = names, keys
		default:
			l, err := parseRecordLine(text, names, keys)
			if err != nil {
				return fail(n, "%v", err)
			}
			if err := each(at, l); err != nil {
				return err
			}
		}
		hash.Write(line)
		if word == "run" {
			hash.Sum(r.Head[:0])
		}
		at += int64(len(line))
	}
}

// cutOff says that what follows a line with zero bytes is of a run that was cut off: a
// power cut left what was written later, and not this. The line that ends a run is
// written once all before it is on the disk, so that none can follow.
func cutOff(rest *bufio.Reader) bool {
	for {
		line, err := rest.ReadSlice('\n')
		if bytes.HasPrefix(line, []byte("run ")) {
			return false
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err == io.EOF
		}
	}
}

// parseRecordLine reads "s <ns> <key> <suite> <time> <epoch> <digest> <signature>".
func parseRecordLine(text string, names, keys []string) (*recordLine, error) {
	f := strings.Split(text, " ")
	if len(f) != 8 || f[0] != "s" {
		return nil, fmt.Errorf("is no line of a record")
	}
	var n [5]uint64
	for i := range n {
		v, err := strict.ParseUint(f[i+1])
		if err != nil {
			return nil, err
		}
		n[i] = v
	}
	digest, err := strict.ParseHash(f[6])
	if err != nil {
		return nil, err
	}
	sig, err := strict.ParseBase64(f[7])
	if err != nil || len(sig) != 64 || n[0] >= uint64(len(names)) || n[1] >= uint64(len(keys)) || n[2] > 2 {
		return nil, fmt.Errorf("is no line of a record")
	}
	l := &recordLine{ns: names[n[0]], key: keys[n[1]]}
	l.statement = bundle.Statement{
		Ciphersuite: uint32(n[2]), Namespace: l.ns, Timestamp: n[3], Epoch: n[4], Digest: digest, Signature: [64]byte(sig),
	}
	return l, nil
}

// load gives a recorded statement back, with its signature.
func (r *Record) load(at uint64) (*bundle.Statement, error) {
	buf := make([]byte, maxRecordLine)
	n, err := r.file.ReadAt(buf, int64(at))
	if err != nil && err != io.EOF {
		return nil, err
	}
	line, _, ok := bytes.Cut(buf[:n], []byte("\n"))
	if !ok {
		return nil, errChanged
	}
	l, err := parseRecordLine(string(line), r.names, r.keys)
	if err != nil {
		return nil, errChanged
	}
	s := &l.statement
	return bundle.ParseStatement("record", s.Encode(s.Signature))
}

// remember puts what earlier runs saw into the table, for keys still pinned.
func (c *collector) remember(r *Record) error {
	number := map[string]uint16{}
	for i, k := range c.o.Keys {
		number[base64.StdEncoding.EncodeToString(k.Key[:])] = uint16(i)
	}
	again := &Record{name: r.name}
	err := again.scan(io.NewSectionReader(r.file, 0, r.Size), func(at int64, l *recordLine) error {
		key, ok := number[l.key]
		if !ok || c.o.Only != "" && l.ns != c.o.Only {
			return nil
		}
		e := entryOf(&l.statement, uint64(at)|recorded, c.numberLocked(l.ns), key)
		// The run that recorded it checked the key's window then.
		c.base.add(e)
		return nil
	})
	c.baseOrder = c.base.order()
	return err
}

// freshEntry is a statement that the record lacks.
type freshEntry struct {
	ns, key uint16
	e       *entry
}

func (c *collector) freshEntries(r *Report, order []uint32) {
	for _, i := range order {
		if e := c.table.at(i); e.ref&recorded == 0 {
			r.fresh = append(r.fresh, freshEntry{e.ns, e.key, e})
		}
	}
	r.load = c.loadStatement
}

// Extend writes what a run adds to a record, or the beginning of a new one. The
// caller appends it to the file at Size and syncs it; a file is synced once more
// before the line that ends the run is written. If there is nothing new, nothing is
// written.
func (r *Report) Extend(w io.Writer, old *Record, now time.Time) error {
	if len(r.fresh) == 0 {
		return nil
	}
	hash := sha256.New()
	x := &extender{out: bufio.NewWriterSize(w, 1<<16), names: map[string]int{}, keys: map[string]int{}}
	x.hash = hash
	if old == nil || old.Runs == 0 {
		x.line(recordFormat)
	} else {
		if _, err := io.Copy(hash, io.NewSectionReader(old.file, 0, old.Size)); err != nil {
			return err
		}
		for i, n := range old.names {
			x.names[n] = i
		}
		for i, k := range old.keys {
			x.keys[k] = i
		}
	}
	for _, f := range r.fresh {
		s, err := r.load(f.e)
		if err != nil {
			return err
		}
		ns := x.number(x.names, "namespace ", r.names[f.ns])
		key := x.number(x.keys, "key ", base64.StdEncoding.EncodeToString(r.keys[f.key].Key[:]))
		x.line(fmt.Sprintf("s %d %d %d %d %d %x %s", ns, key, s.Ciphersuite, s.Timestamp, s.Epoch, s.Digest, base64.StdEncoding.EncodeToString(s.Signature[:])))
	}
	if err := x.out.Flush(); err != nil {
		return err
	}
	if file, ok := w.(interface{ Sync() error }); ok {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	x.line(fmt.Sprintf("run %s %x", strict.FormatTime(now), hash.Sum(nil)))
	return x.out.Flush()
}

type extender struct {
	out         *bufio.Writer
	hash        io.Writer
	names, keys map[string]int
}

func (x *extender) line(s string) {
	b := append([]byte(s), '\n')
	x.out.Write(b) // keeps its first error for Flush
	x.hash.Write(b)
}

func (x *extender) number(m map[string]int, word, s string) int {
	n, ok := m[s]
	if !ok {
		n = len(m)
		m[s] = n
		x.line(word + s)
	}
	return n
}
