//go:build unix

package tiled

import (
	"crypto/ed25519"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
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

// NewSigner is [SignerOf] of an Ed25519 key: sign gives the 64 bytes of a pure
// signature over exactly msg.
func NewSigner(origin string, pub ed25519.PublicKey, sign func(msg []byte) ([]byte, error)) (note.Signer, error) {
	key, err := auditlog.NewVerifier(origin, auditlog.Ed25519, pub)
	if err != nil {
		return nil, err
	}
	return SignerOf(key, sign), nil
}

// SignerOf makes a log's signer of its key, in a file or in an HSM: sign gives a
// signature over exactly msg, pure Ed25519 or ML-DSA-44 with an empty context. Each is
// verified before it is used, so that a faulty one is never published: hardware fails,
// and sessions get mixed up.
func SignerOf(key *auditlog.Verifier, sign func(msg []byte) ([]byte, error)) note.Signer {
	return &signer{key, sign}
}

type signer struct {
	key  *auditlog.Verifier
	sign func(msg []byte) ([]byte, error)
}

func (s *signer) Name() string    { return s.key.Name() }
func (s *signer) KeyHash() uint32 { return s.key.KeyHash() }

// Sign signs a checkpoint's text. An ML-DSA-44 signature is over the tree that it says.
func (s *signer) Sign(msg []byte) ([]byte, error) {
	c, err := auditlog.ParseTreeHead("the checkpoint", msg)
	if err != nil {
		return nil, err
	}
	return c.SignAsLog(s.key, s.sign)
}
