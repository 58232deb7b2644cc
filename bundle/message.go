package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Ciphersuites: how the signed bytes of a statement are laid out. Both sign
// with Ed25519.
const (
	Protobuf uint32 = 1
	Bincode  uint32 = 2
)

// Tags of ciphersuite 1's fields: number<<3 | wire type (0 varint, 2 bytes).
const (
	tagCiphersuite = 1<<3 | 0
	tagNamespace   = 2<<3 | 2
	tagTimestamp   = 3<<3 | 0
	tagEpoch       = 4<<3 | 2
	tagEpochInner  = 1<<3 | 0
	tagDigest      = 5<<3 | 2
)

// Message is what the signature is over, rebuilt from the fields.
//
// Ciphersuite 1 is cloudflare/plexi's types.proto at 0108f7d: proto2, every
// field required, so that zeros are written too. Ciphersuite 2 is bincode's
// legacy configuration: little-endian, fixed width, lengths of 8 bytes. Of any
// other ciphersuite there is none.
func (s *Statement) Message() []byte {
	switch s.Ciphersuite {
	case Protobuf:
		epoch := binary.AppendUvarint([]byte{tagEpochInner}, s.Epoch)
		b := make([]byte, 0, 64+len(s.Namespace))
		b = binary.AppendUvarint(append(b, tagCiphersuite), uint64(s.Ciphersuite))
		b = binary.AppendUvarint(append(b, tagNamespace), uint64(len(s.Namespace)))
		b = append(b, s.Namespace...)
		b = binary.AppendUvarint(append(b, tagTimestamp), s.Timestamp)
		b = append(append(b, tagEpoch, byte(len(epoch))), epoch...)
		return append(append(b, tagDigest, byte(len(s.Digest))), s.Digest[:]...)
	case Bincode:
		le := binary.LittleEndian
		b := make([]byte, 0, 72+len(s.Namespace))
		b = le.AppendUint32(b, s.Ciphersuite)
		b = le.AppendUint64(b, uint64(len(s.Namespace)))
		b = append(b, s.Namespace...)
		b = le.AppendUint64(b, s.Timestamp)
		b = le.AppendUint64(b, s.Epoch)
		b = le.AppendUint64(b, uint64(len(s.Digest)))
		return append(b, s.Digest[:]...)
	}
	return nil
}

// ParseMessage reads signed bytes of either ciphersuite back into a statement
// without signature, so that what a signer is about to sign can be shown from
// those bytes. It takes only the bytes that Message gives.
func ParseMessage(file string, data []byte) (*Statement, error) {
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
