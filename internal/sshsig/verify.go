package sshsig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// userPresent is the flag by which a FIDO2 device says that it was touched
// (WebAuthn, section 6.1). A key made with -O no-touch-required signs without,
// so that whoever has the computer signs for its owner.
const userPresent = 1

// Verify checks that the signature's key signed this message for this namespace. A
// signature for one act never counts for another.
func (s *Signature) Verify(namespace string, message []byte) error {
	if namespace == "" {
		return errors.New("a signature is never for the empty namespace; name the act it must be for")
	}
	if s.namespace != namespace {
		return fmt.Errorf("the signature is for %q, not for %q; sign again with ssh-keygen -Y sign -n %s", s.namespace, namespace, namespace)
	}
	signed := toBeSigned(namespace, s.hash, message)
	if s.key.kind.device {
		if s.flags&userPresent == 0 {
			return errors.New("nobody touched the FIDO2 device for this signature; sign with a key made without no-touch-required")
		}
		signed = s.deviceSigned(signed)
	}
	if s.key.kind.hybrid {
		return s.verifyHybrid(signed)
	}
	if s.key.kind.curve == nil {
		return keys.VerifyEd25519(s.key.ed, signed, s.ed)
	}
	// Both values of S verify here, as in every SSH signature: OpenSSH signs with
	// either, and nothing depends on which one it is.
	if !ecdsa.Verify(s.key.ec, digest(s.key.kind.curve, signed), s.r, s.s) {
		return keys.ErrSignature
	}
	return nil
}

// toBeSigned is what a key signs for a message.
func toBeSigned(namespace, hash string, message []byte) []byte {
	b := appendString([]byte(magic), namespace)
	b = appendString(b, "") // reserved
	b = appendString(b, hash)
	if hash == "sha256" {
		h := sha256.Sum256(message)
		return appendString(b, h[:])
	}
	h := sha512.Sum512(message)
	return appendString(b, h[:])
}

// deviceSigned is what a FIDO2 device signs in its place (OpenSSH's file
// PROTOCOL.u2f): application and message as digests, flags and counter between.
func (s *Signature) deviceSigned(signed []byte) []byte {
	app, msg := sha256.Sum256([]byte(s.key.app)), sha256.Sum256(signed)
	b := append(app[:], s.flags)
	b = binary.BigEndian.AppendUint32(b, s.counter)
	return append(b, msg[:]...)
}

// digest is by the curve (RFC 5656, section 6.2.1), whatever the hash of the
// message.
func digest(curve elliptic.Curve, signed []byte) []byte {
	if curve == elliptic.P384() {
		h := sha512.Sum384(signed)
		return h[:]
	}
	h := sha256.Sum256(signed)
	return h[:]
}
