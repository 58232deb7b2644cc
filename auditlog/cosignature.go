package auditlog

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"filippo.io/mldsa"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// A cosignature (C2SP tlog-cosignature) is the time in seconds since the Unix
// epoch, 8 bytes big-endian, and the signature proper.
const timestampSize = 8

// maxTimestamp is 9999-12-31T23:59:59Z: RFC 3339 can't write a later time.
const maxTimestamp = 253402300799

// splitCosignature gives the time as number and as time; 0 means that the
// cosigner states none (allowed for ML-DSA-44).
func splitCosignature(raw []byte, size int) (stamp uint64, t time.Time, sig []byte, err error) {
	if len(raw) != timestampSize+size {
		return 0, t, nil, fmt.Errorf("has %d bytes, a cosignature by such a key has %d", len(raw), timestampSize+size)
	}
	stamp = binary.BigEndian.Uint64(raw)
	if stamp > maxTimestamp {
		return 0, t, nil, fmt.Errorf("states the time %d, which is after the year 9999", stamp)
	}
	if stamp > 0 {
		t = time.Unix(int64(stamp), 0).UTC()
	}
	return stamp, t, raw[timestampSize:], nil
}

// verifyEd25519Cosignature checks a cosignature of type 0x04. It covers the whole
// text but not the witness's name, so two witnesses must not use one key.
func verifyEd25519Cosignature(pub []byte) func(*Checkpoint, []byte) (time.Time, error) {
	return func(c *Checkpoint, raw []byte) (time.Time, error) {
		stamp, t, sig, err := splitCosignature(raw, 64)
		if err != nil {
			return time.Time{}, err
		}
		if err := keys.VerifyEd25519(pub, c.cosignedText(stamp), sig); err != nil {
			return time.Time{}, err
		}
		return t, nil
	}
}

// verifyMLDSACosignature checks a cosignature of type 0x06. It covers the
// witness's name and the subtree [0, size), which is the checkpoint's whole tree.
func verifyMLDSACosignature(pub *mldsa.PublicKey, name string) func(*Checkpoint, []byte) (time.Time, error) {
	return func(c *Checkpoint, raw []byte) (time.Time, error) {
		stamp, t, sig, err := splitCosignature(raw, mldsa.MLDSA44SignatureSize)
		if err != nil {
			return time.Time{}, err
		}
		if len(c.Origin) > 255 {
			return time.Time{}, fmt.Errorf("covers an origin of at most 255 bytes, this one has %d", len(c.Origin))
		}
		if mldsa.Verify(pub, cosignedMessage(name, stamp, c), sig, nil) != nil {
			return time.Time{}, keys.ErrSignature
		}
		return t, nil
	}
}

// cosignedMessage is the struct of tlog-cosignature, "ML-DSA-44 signed
// message", in TLS presentation language (RFC 8446, section 3).
func cosignedMessage(name string, stamp uint64, c *Checkpoint) []byte {
	m := []byte("subtree/v1\n\x00")
	m = append(m, byte(len(name)))
	m = append(m, name...)
	m = binary.BigEndian.AppendUint64(m, stamp)
	m = append(m, byte(len(c.Origin)))
	m = append(m, c.Origin...)
	m = binary.BigEndian.AppendUint64(m, 0)
	m = binary.BigEndian.AppendUint64(m, c.Size)
	return append(m, c.Root[:]...)
}

func (c *Checkpoint) cosignedText(stamp uint64) []byte {
	b := append(make([]byte, 0, 160+len(c.Origin)), "cosignature/v1\ntime "...)
	return c.text(append(strconv.AppendUint(b, stamp, 10), '\n'))
}

// Cosign makes a witness's signature line of type 0x04 or 0x06: sign gives a pure
// Ed25519 signature by key's private half, or one of ML-DSA-44 with an empty context,
// which is verified before it is used.
func (c *Checkpoint) Cosign(key *Verifier, now time.Time, sign func(msg []byte) ([]byte, error)) (Signature, error) {
	if key.typ != Ed25519Cosignature && key.typ != MLDSA44Cosignature {
		return Signature{}, fmt.Errorf("the witness's key has type 0x%02x; 0x04 and 0x06 can sign here", byte(key.typ))
	}
	if now.Unix() <= 0 || now.Unix() > maxTimestamp {
		return Signature{}, fmt.Errorf("the time %v can't be stated in a cosignature", now)
	}
	raw, err := c.stamped(key, uint64(now.Unix()), sign)
	if err != nil {
		return Signature{}, fmt.Errorf("witness %s: %w", key.name, err)
	}
	return Signature{Name: key.name, KeyHash: key.hash, Raw: raw}, nil
}

// SignAsLog makes what follows the key hash in a log's own signature line, of type 0x01
// or 0x06. One of type 0x06 states no time: a log says what its tree is, and not when.
func (c *Checkpoint) SignAsLog(key *Verifier, sign func(msg []byte) ([]byte, error)) ([]byte, error) {
	switch key.typ {
	case Ed25519:
		sig, err := sign([]byte(c.Text()))
		if err != nil {
			return nil, fmt.Errorf("signing with the key of log %s: %w", key.name, err)
		}
		if _, err := key.verify(c, sig); err != nil {
			return nil, fmt.Errorf("the key of log %s gave a wrong signature: %w", key.name, err)
		}
		return sig, nil
	case MLDSA44Cosignature:
		raw, err := c.stamped(key, 0, sign)
		if err != nil {
			return nil, fmt.Errorf("log %s: %w", key.name, err)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("the key of log %s has type 0x%02x; 0x01 and 0x06 can sign here", key.name, byte(key.typ))
}

// stamped is a cosignature: its time, and the signature proper, which is verified.
func (c *Checkpoint) stamped(key *Verifier, stamp uint64, sign func(msg []byte) ([]byte, error)) ([]byte, error) {
	msg := c.cosignedText(stamp)
	if key.typ == MLDSA44Cosignature {
		msg = cosignedMessage(key.name, stamp, c)
	}
	sig, err := sign(msg)
	if err != nil {
		return nil, fmt.Errorf("signing with its key: %w", err)
	}
	raw := append(binary.BigEndian.AppendUint64(nil, stamp), sig...)
	if _, err := key.verify(c, raw); err != nil {
		return nil, fmt.Errorf("its key gave a wrong signature: %w", err)
	}
	return raw, nil
}
