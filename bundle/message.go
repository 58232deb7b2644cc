package bundle

import "encoding/binary"

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
// Ciphersuite 1 is cloudflare/plexi's types.proto at 0108f7d: proto2, with every
// field required, so that zeros are written too. Ciphersuite 2 is bincode's
// legacy configuration: little-endian, fixed width, lengths of 8 bytes. For any
// other ciphersuite the message is nil.
func (s *Statement) Message() []byte {
	switch s.Ciphersuite {
	case Protobuf:
		var inner [1 + binary.MaxVarintLen64]byte
		inner[0] = tagEpochInner
		epoch := inner[:1+binary.PutUvarint(inner[1:], s.Epoch)]
		b := make([]byte, 0, 80+len(s.Namespace))
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
