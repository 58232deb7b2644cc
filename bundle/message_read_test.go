package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// parseMessage reads signed bytes of either ciphersuite back into a statement
// without signature: the tests show with it that no two statements have the same
// signed bytes. It takes only the bytes that Message gives.
func parseMessage(file string, data []byte) (*Statement, error) {
	r := &wire{rest: data}
	s := &Statement{Ciphersuite: Protobuf}
	if len(data) > 0 && data[0] == byte(Bincode) {
		s.Ciphersuite = Bincode
		r.fixed(4)
		s.Namespace = string(r.bytes(r.fixed(8)))
		s.Timestamp = r.fixed(8)
		s.Epoch = r.fixed(8)
		s.setDigest(r, r.fixed(8))
	} else {
		r.bytes(1) // a field's tag, each time
		r.varint()
		r.bytes(1)
		s.Namespace = string(r.bytes(r.varint()))
		r.bytes(1)
		s.Timestamp = r.varint()
		r.bytes(1)
		r.varint()
		r.bytes(1)
		s.Epoch = r.varint()
		r.bytes(1)
		s.setDigest(r, r.varint())
	}
	if r.err == nil {
		r.err = s.check()
	}
	// Tags, lengths, ciphersuite, spare bytes and varints with more bytes than
	// they need: whatever isn't as Message writes it is found by writing it.
	if r.err == nil && !bytes.Equal(s.Message(), data) {
		r.err = errors.New("has other fields than a statement, or in another spelling")
	}
	if r.err != nil {
		return nil, strict.Errorf(file, "is no statement's signed bytes: %v", r.err)
	}
	return s, nil
}

func (s *Statement) setDigest(r *wire, n uint64) {
	if b := r.bytes(n); len(b) == len(s.Digest) {
		s.Digest = [32]byte(b)
	} else if r.err == nil {
		r.err = errors.New("its digest has another length than 32 bytes")
	}
}

// wire takes bytes from the front and keeps its first error.
type wire struct {
	rest []byte
	err  error
}

func (r *wire) bytes(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.rest)) {
		r.err = errors.New("ends in the middle of a field")
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// fixed reads a little-endian integer of 4 or 8 bytes.
func (r *wire) fixed(size int) uint64 {
	var b [8]byte
	copy(b[:], r.bytes(uint64(size)))
	return binary.LittleEndian.Uint64(b[:])
}

func (r *wire) varint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 && r.err == nil {
		r.err = errors.New("has a varint that doesn't end")
	}
	if r.err == nil {
		r.rest = r.rest[n:]
	}
	return v
}
