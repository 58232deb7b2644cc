package auditlog

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// verifyEd25519 checks type 0x01: pure Ed25519 over the text.
func verifyEd25519(pub []byte) func(*Checkpoint, []byte) (time.Time, error) {
	return func(c *Checkpoint, sig []byte) (time.Time, error) {
		return time.Time{}, keys.VerifyEd25519(pub, c.text(nil), sig)
	}
}

// verifyECDSA checks type 0x02. Unlike keys.Public it takes either S and
// hashes with SHA-256 on every curve: so do the logs that are out there, and
// nothing here is identified by its signature.
func verifyECDSA(pub *ecdsa.PublicKey) func(*Checkpoint, []byte) (time.Time, error) {
	return func(c *Checkpoint, sig []byte) (time.Time, error) {
		digest := sha256.Sum256(c.text(nil))
		if !ecdsa.VerifyASN1(pub, digest[:], sig) {
			return time.Time{}, keys.ErrSignature
		}
		return time.Time{}, nil
	}
}
