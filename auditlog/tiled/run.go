//go:build unix

package tiled

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
)

// A run is a file of records, sorted by digest. Each has the digest of a key and
// the number of the first entry with that key. A run is made once and never
// changed. Its pages make a tree: a record of an inner page has the first digest of
// a page below it, and that page's SHA-256. So whoever knows the SHA-256 of the top
// page reads a few pages to find out whether a key is there, and notices any page
// that was altered.
//
// A page begins at a multiple of pageSize. It has, big-endian:
//
//   - 1 byte: its height above the lowest pages; 1 byte: zero; 2 bytes: the number
//     of its records;
//   - the records: at height 0, 32 bytes of digest and 8 of entry number; above, 32
//     bytes of first digest, 32 of SHA-256 and 8 of number of the page below.
//
// Bytes behind the records are not hashed. The top page is the last one.
const (
	pageSize   = 2048
	pageHeader = 4
	leafRecord = 32 + 8
	nodeRecord = 32 + 32 + 8
)

// record is a key of an entry.
type record struct {
	key   [32]byte // SHA-256 of the key
	entry uint64
}

func compareRecords(a, b record) int {
	if c := bytes.Compare(a.key[:], b.key[:]); c != 0 || a.entry == b.entry {
		return c
	}
	if a.entry < b.entry {
		return -1
	}
	return 1
}

// page is a page's bytes up to the end of its records.
type page []byte

func recordSize(height byte) int {
	if height == 0 {
		return leafRecord
	}
	return nodeRecord
}

// parsePage takes the records that a page's header promises.
func parsePage(data []byte) (page, error) {
	if len(data) < pageHeader {
		return nil, fmt.Errorf("a page has %d bytes", len(data))
	}
	size := pageHeader + int(binary.BigEndian.Uint16(data[2:]))*recordSize(data[0])
	if data[1] != 0 || size > min(len(data), pageSize) {
		return nil, fmt.Errorf("a page's header is malformed")
	}
	return data[:size], nil
}

func (p page) height() byte { return p[0] }
func (p page) len() int     { return int(binary.BigEndian.Uint16(p[2:])) }

// record gives the i-th record's digest and what follows it.
func (p page) record(i int) (key, rest []byte) {
	size := recordSize(p.height())
	r := p[pageHeader+i*size:][:size]
	return r[:32], r[32:]
}

// upTo is the number of records whose digest is key or comes before it.
func (p page) upTo(key *[32]byte) int {
	return sort.Search(p.len(), func(i int) bool {
		k, _ := p.record(i)
		return bytes.Compare(k, key[:]) > 0
	})
}

// runWriter writes a run from its first record to its last. It keeps only one page
// for each height in memory.
type runWriter struct {
	w     io.Writer
	pages uint64
	open  []page // by height: the page that is being filled
	last  [32]byte
	some  bool
}

// add takes the next record. Of several with the same digest it keeps the first.
func (w *runWriter) add(r record) error {
	if w.some && r.key == w.last {
		return nil
	}
	w.last, w.some = r.key, true
	var entry [8]byte
	binary.BigEndian.PutUint64(entry[:], r.entry)
	return w.put(0, r.key[:], entry[:])
}

func (w *runWriter) put(height int, key, rest []byte) error {
	if len(w.open) == height {
		w.open = append(w.open, append(make(page, 0, pageSize), byte(height), 0, 0, 0))
	}
	if len(w.open[height])+recordSize(byte(height)) > pageSize {
		if err := w.flush(height); err != nil {
			return err
		}
	}
	p := append(append(w.open[height], key...), rest...)
	binary.BigEndian.PutUint16(p[2:], uint16(p.len()+1))
	w.open[height] = p
	return nil
}

// flush writes the page of a height and names it in the page above.
func (w *runWriter) flush(height int) error {
	p := w.open[height]
	first := bytes.Clone(p[pageHeader:][:32])
	sum := sha256.Sum256(p)
	if _, err := w.w.Write(p[:pageSize]); err != nil { // its capacity; zero or an older page's rest
		return err
	}
	w.open[height] = append(p[:0], byte(height), 0, 0, 0)
	w.pages++
	return w.put(height+1, first, binary.BigEndian.AppendUint64(sum[:], w.pages-1))
}

// finish writes what is left, and gives the number of pages and the top page's
// SHA-256.
func (w *runWriter) finish() (pages uint64, top [32]byte, err error) {
	if len(w.open) == 0 {
		w.open = append(w.open, page{0, 0, 0, 0})
	}
	for height := 0; height < len(w.open)-1; height++ {
		if err := w.flush(height); err != nil {
			return 0, top, err
		}
	}
	p := w.open[len(w.open)-1]
	if _, err := w.w.Write(p); err != nil {
		return 0, top, err
	}
	return w.pages + 1, sha256.Sum256(p), nil
}
