package sshsig

import (
	"crypto/sha512"
	"fmt"

	"filippo.io/mldsa"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// A hybrid key is ML-DSA-44's public key followed by Ed25519's, and its signature
// is one of each, in that order, over one text (draft-miller-sshm-mldsa44-ed25519-composite-sigs,
// which is id-MLDSA44-Ed25519-SHA512 of draft-ietf-lamps-pq-composite-sigs). OpenSSH
// signs with an empty context of the composite scheme's.
const (
	hybridType   = "ssh-mldsa44-ed25519@openssh.com"
	hybridPrefix = "CompositeAlgorithmSignatures2025"
	hybridLabel  = "COMPSIG-MLDSA44-Ed25519-SHA512" // ML-DSA's context too
)

// Hybrid says whether the key signs with ML-DSA-44 and Ed25519 together, so that
// neither half alone is enough.
func (k *Key) Hybrid() bool { return k.kind.hybrid }

func (k *Key) admitHybrid(raw []byte) (err error) {
	const size = mldsa.MLDSA44PublicKeySize
	if len(raw) != size+32 {
		return fmt.Errorf("has %d bytes, a key of type %s has %d", len(raw), hybridType, size+32)
	}
	if k.pq, err = mldsa.NewPublicKey(mldsa.MLDSA44(), raw[:size]); err != nil {
		return fmt.Errorf("has a half that is no ML-DSA-44 key: %w", err)
	}
	if _, err := keys.FromMLDSA(keys.MLDSA44, raw[:size]); err != nil {
		return fmt.Errorf("has a half that %w", err)
	}
	k.ed = raw[size:]
	if err := keys.AdmitEd25519(k.ed); err != nil {
		return fmt.Errorf("has a half that %w", err)
	}
	k.points = []keys.Point{keys.MLDSA44Point(raw[:size]), keys.Ed25519Point([32]byte(k.ed))}
	return nil
}

func (s *Signature) parseHybrid(raw []byte) error {
	const size = mldsa.MLDSA44SignatureSize
	if len(raw) != size+64 {
		return fmt.Errorf("has %d bytes; one of type %s has %d", len(raw), hybridType, size+64)
	}
	s.pq, s.ed = raw[:size], raw[size:]
	return nil
}

// verifyHybrid demands both halves, and says which one doesn't verify.
func (s *Signature) verifyHybrid(signed []byte) error {
	sum := sha512.Sum512(signed)
	text := append([]byte(hybridPrefix+hybridLabel), 0) // the length of an empty context
	text = append(text, sum[:]...)
	if mldsa.Verify(s.key.pq, text, s.pq, &mldsa.Options{Context: hybridLabel}) != nil {
		return fmt.Errorf("its ML-DSA-44 half: %w", keys.ErrSignature)
	}
	if err := keys.VerifyEd25519(s.key.ed, text, s.ed); err != nil {
		return fmt.Errorf("its Ed25519 half: %w", err)
	}
	return nil
}
