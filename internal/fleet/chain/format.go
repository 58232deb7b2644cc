package chain

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// MostData is how long an entry's data, and what it has beside it, can be.
const MostData = 1 << 20

const (
	magic    = "fleetctl fleet log 1\n"
	headSize = len(magic) + 8 + 8 + 32
	fixed    = 8 + 8 + 1 + 4 // of an entry, but for its data
)

func appendHead(out []byte, base Point) []byte {
	out = binary.BigEndian.AppendUint64(append(out, magic...), base.Index)
	return append(binary.BigEndian.AppendUint64(out, base.Term), base.Head[:]...)
}

func appendRecord(out []byte, e *Entry, at Point) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(fixed+len(e.Data)+len(e.Extra)))
	return append(e.encode(out), at.Head[:]...)
}

func recordSize(e *Entry) int64 { return int64(4 + fixed + len(e.Data) + len(e.Extra) + 32) }

// Parse reads a log's file: the point that it starts at, and its entries up to the
// first one that isn't whole or doesn't fit the chain. Only what was never a log is an
// error.
func Parse(data []byte) (base Point, entries []*Entry, err error) {
	if len(data) < headSize || !bytes.HasPrefix(data, []byte(magic)) {
		return Point{}, nil, errors.New("this is no log of the fleet, version 1")
	}
	head := data[len(magic):headSize]
	base.Index, base.Term = binary.BigEndian.Uint64(head), binary.BigEndian.Uint64(head[8:])
	copy(base.Head[:], head[16:])
	at, rest := base, data[headSize:]
	for len(rest) >= 4 {
		size := int(binary.BigEndian.Uint32(rest))
		if size < fixed || size > fixed+2*MostData || len(rest) < 4+size+32 {
			break
		}
		e := parseEntry(rest[4 : 4+size])
		if e == nil || e.Index == 0 || e.Index != at.Index+1 || e.Term < at.Term || e.Term == 0 {
			break
		}
		next := at.Next(e)
		if !bytes.Equal(next.Head[:], rest[4+size:4+size+32]) {
			break
		}
		at, entries, rest = next, append(entries, e), rest[4+size+32:]
	}
	return base, entries, nil
}

// parseEntry reads an entry's bytes; nil where they are none.
func parseEntry(b []byte) *Entry {
	e := &Entry{Index: binary.BigEndian.Uint64(b), Term: binary.BigEndian.Uint64(b[8:]), Type: b[16]}
	n := int(binary.BigEndian.Uint32(b[17:]))
	b = b[fixed:]
	if n > len(b) || n > MostData || len(b)-n > MostData {
		return nil
	}
	e.Data, e.Extra = bytes.Clone(b[:n]), bytes.Clone(b[n:])
	return e
}
