package keys

import (
	"crypto/sha256"
	"encoding/binary"
)

// Seen remembers signatures that verified, so that the same one isn't computed
// twice: those of the third party and the operator stand in a ceremony's records
// and again in the bundle. It knows a signature only by the very same bytes under
// the very same key for the same use, and doesn't remember any that failed. A nil Seen remembers
// nothing. A Seen is for one goroutine.
type Seen struct{ sums map[[32]byte]struct{} }

// Verify is [Public.Verify], once.
func (s *Seen) Verify(k *Public, as Context, message, signature []byte) error {
	return s.once(k.SPKI(), as, message, signature, func() error { return k.Verify(as, message, signature) })
}

// VerifyEd25519 is [VerifyEd25519], once.
func (s *Seen) VerifyEd25519(key, message, signature []byte) error {
	return s.once(key, "", message, signature, func() error { return VerifyEd25519(key, message, signature) })
}

// once verifies what it has not seen. Each part is hashed behind its length, so
// that no two triples give the same bytes; the key's own form (raw Ed25519, or
// SubjectPublicKeyInfo) says by which rule it was verified.
func (s *Seen) once(key []byte, as Context, message, signature []byte, verify func() error) error {
	if s == nil {
		return verify()
	}
	h := sha256.New()
	for _, part := range [][]byte{key, []byte(as), message, signature} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	sum := [32]byte(h.Sum(nil))
	if _, ok := s.sums[sum]; ok {
		return nil
	}
	if err := verify(); err != nil {
		return err
	}
	if s.sums == nil {
		s.sums = map[[32]byte]struct{}{}
	}
	s.sums[sum] = struct{}{}
	return nil
}
