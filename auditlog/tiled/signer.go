//go:build unix

package tiled

import (
	"crypto/ed25519"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// VKey writes the verifier key (C2SP signed-note, type 0x01) of a log with
// this origin, as [Init] and policies take it.
func VKey(origin string, pub ed25519.PublicKey) (string, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", err
	}
	if _, err := auditlog.ParseVKey(vkey); err != nil {
		return "", err
	}
	return vkey, nil
}

// NewSigner makes a log's signer of any Ed25519 key, in a file or in an HSM: sign
// gives the 64 bytes of a pure signature over exactly msg. Each signature is
// verified before it is used, so that a faulty one is never published: hardware
// fails, and sessions get mixed up.
func NewSigner(origin string, pub ed25519.PublicKey, sign func(msg []byte) ([]byte, error)) (note.Signer, error) {
	vkey, err := VKey(origin, pub)
	if err != nil {
		return nil, err
	}
	hash, err := strconv.ParseUint(strings.Split(vkey, "+")[1], 16, 32)
	if err != nil {
		return nil, err
	}
	return &signer{origin, uint32(hash), pub, sign}, nil
}

type signer struct {
	name string
	hash uint32
	pub  ed25519.PublicKey
	sign func(msg []byte) ([]byte, error)
}

func (s *signer) Name() string    { return s.name }
func (s *signer) KeyHash() uint32 { return s.hash }

func (s *signer) Sign(msg []byte) ([]byte, error) {
	sig, err := s.sign(msg)
	if err != nil {
		return nil, fmt.Errorf("signing with the key of log %s: %w", s.name, err)
	}
	if err := keys.VerifyEd25519(s.pub, msg, sig); err != nil {
		return nil, fmt.Errorf("the key of log %s gave a wrong signature: %w", s.name, err)
	}
	return sig, nil
}
