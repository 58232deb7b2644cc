package auditlog

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/mldsa"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// KeyType is a key's signature type (C2SP signed-note, "Signature types").
type KeyType byte

// The types that are read. 0x04 and 0x06 carry a time.
const (
	Ed25519            KeyType = 0x01 // pure Ed25519 over the checkpoint's text
	ECDSA              KeyType = 0x02 // ECDSA P-256 or P-384 over its SHA-256, DER, either S; as Rekor v1 signs
	Ed25519Cosignature KeyType = 0x04 // tlog-cosignature with Ed25519
	MLDSA44Cosignature KeyType = 0x06 // tlog-cosignature with ML-DSA-44
)

// Verifier is the pinned key of a log or witness.
type Verifier struct {
	name   string
	hash   uint32
	typ    KeyType
	key    []byte // as in the vkey, without its type
	point  keys.Point
	verify func(c *Checkpoint, sig []byte) (time.Time, error)
}

// ParseVKey reads a verifier key: name, key hash and base64 of type and public
// key, joined by plus signs (C2SP signed-note, "Verifier keys"). The hash is
// computed again and the key admitted as internal/keys admits keys.
func ParseVKey(s string) (*Verifier, error) {
	v, err := parseVKey(s)
	if err != nil {
		return nil, strict.Errorf("", "verifier key %q: %v", strict.Clip(s), err)
	}
	return v, nil
}

// NewVerifier makes the verifier of a public key under a name.
func NewVerifier(name string, typ KeyType, key []byte) (*Verifier, error) {
	v := &Verifier{name: name, typ: typ, key: key}
	err := checkName(name)
	if err == nil {
		err = v.admit()
	}
	if err != nil {
		return nil, strict.Errorf("", "verifier key of %q: %v", strict.Clip(name), err)
	}
	v.hash = keyHash(name, typ, key)
	return v, nil
}

// VerifierOf makes the verifier of a key by which a log signs, or a witness cosigns: of
// Ed25519, or of ML-DSA-44, which for both is a cosignature's type.
func VerifierOf(name string, key *PublicKey, witness bool) (*Verifier, error) {
	if raw, ok := key.Ed25519(); ok {
		if witness {
			return NewVerifier(name, Ed25519Cosignature, raw)
		}
		return NewVerifier(name, Ed25519, raw)
	}
	if key.Algorithm() != keys.MLDSA44 {
		return nil, fmt.Errorf("the key is %s; logs and witnesses sign with %s or %s", key.Algorithm(), keys.Ed25519, keys.MLDSA44)
	}
	return NewVerifier(name, MLDSA44Cosignature, key.Raw())
}

func parseVKey(s string) (*Verifier, error) {
	name, rest, ok1 := strings.Cut(s, "+")
	hash, b64, ok2 := strings.Cut(rest, "+") // base64 may have more of them
	if !ok1 || !ok2 {
		return nil, errors.New("is not <name>+<hash>+<base64>")
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	id, err := strict.ParseHex(hash, 4)
	if err != nil {
		return nil, fmt.Errorf("the key hash %w", err)
	}
	raw, err := strict.ParseBase64(b64)
	if err != nil {
		return nil, fmt.Errorf("the key %w", err)
	}
	if len(raw) == 0 {
		return nil, errors.New("the key is empty")
	}
	v := &Verifier{name: name, typ: KeyType(raw[0]), key: raw[1:]}
	if err := v.admit(); err != nil {
		return nil, err
	}
	v.hash = keyHash(name, v.typ, v.key)
	if binary.BigEndian.Uint32(id) != v.hash {
		return nil, fmt.Errorf("the key hash is %s, this name and key have %08x", hash, v.hash)
	}
	return v, nil
}

// admit checks the key and chooses how it verifies: the type comes from the
// pinned key, never from a signature.
func (v *Verifier) admit() error {
	switch v.typ {
	case Ed25519, Ed25519Cosignature:
		if err := keys.AdmitEd25519(v.key); err != nil {
			return fmt.Errorf("the key %w", err)
		}
		v.point = keys.Ed25519Point([32]byte(v.key))
		v.verify = verifyEd25519(v.key)
		if v.typ == Ed25519Cosignature {
			v.verify = verifyEd25519Cosignature(v.key)
		}
	case ECDSA:
		pub, err := admitECDSA(v.key)
		if err != nil {
			return fmt.Errorf("the key %w", err)
		}
		admitted, err := keys.FromECDSA(pub)
		if err != nil {
			return fmt.Errorf("the key %w", err)
		}
		v.point = admitted.Point()
		v.verify = verifyECDSA(pub)
	case MLDSA44Cosignature:
		pub, err := mldsa.NewPublicKey(mldsa.MLDSA44(), v.key)
		if err != nil {
			return fmt.Errorf("has %d bytes of key, ML-DSA-44 has %d", len(v.key), mldsa.MLDSA44PublicKeySize)
		}
		if _, err := keys.FromMLDSA(keys.MLDSA44, v.key); err != nil {
			return fmt.Errorf("the key %w", err)
		}
		v.point = keys.MLDSA44Point(v.key)
		v.verify = verifyMLDSACosignature(pub, v.name)
	default:
		return fmt.Errorf("has type 0x%02x; read are 0x01, 0x02, 0x04 and 0x06", byte(v.typ))
	}
	return nil
}

func admitECDSA(der []byte) (*ecdsa.PublicKey, error) {
	if _, err := keys.ParseSPKI(der); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("is no ECDSA key, as type 0x02 says")
	}
	return pub, nil
}

// keyHash is SHA-256(name ‖ LF ‖ type ‖ key)[:4], but for ECDSA it is
// SHA-256(SPKI)[:4] (signed-note, "Signature types").
func keyHash(name string, typ KeyType, key []byte) uint32 {
	msg := append([]byte(name+"\n"), byte(typ))
	msg = append(msg, key...)
	if typ == ECDSA {
		msg = key
	}
	h := sha256.Sum256(msg)
	return binary.BigEndian.Uint32(h[:])
}

// Name is the key's name: a log's origin, for a log.
func (v *Verifier) Name() string { return v.name }

// KeyHash is the number by which, together with the name, signature lines name the
// key.
func (v *Verifier) KeyHash() uint32 { return v.hash }

// Type is the key's signature type.
func (v *Verifier) Type() KeyType { return v.typ }

// Point is the key's point, whatever name and type the vkey has.
func (v *Verifier) Point() Point { return v.point }

// String gives the vkey that was read.
func (v *Verifier) String() string {
	return fmt.Sprintf("%s+%08x+%s", v.name, v.hash, base64.StdEncoding.EncodeToString(append([]byte{byte(v.typ)}, v.key...)))
}

// Check verifies what follows the key hash in a signature line over c. The
// time is that of a cosignature, zero for a type that carries none and for a
// cosigner that states none.
func (v *Verifier) Check(c *Checkpoint, sig []byte) (time.Time, error) {
	t, err := v.verify(c, sig)
	if err != nil {
		return time.Time{}, strict.Errorf(c.file, "signature of %s+%08x: %v", v.name, v.hash, err)
	}
	return t, nil
}

// The types of keys that this package takes and gives. They are one with those
// of package bundle, and are here so that a program outside this module can name them.
type (
	// PublicKey is an admitted public key: ParsePublicKey gives one.
	PublicKey = keys.Public

	// Algorithm names a key's kind and with it how it signs or agrees: "ed25519",
	// "ecdsa-p256", "ecdsa-p384", "x25519", "rsa-3072", "ecdh-p256", "ml-dsa-44",
	// "ml-dsa-65", "ml-dsa-87", "ml-kem-768".
	Algorithm = keys.Algorithm

	// Window is when a pinned key's signatures count. An end that is nil is open.
	Window = keys.Window

	// Point identifies a key in whatever form it was written: two keys with the
	// same point are the same key, in one person's hands.
	Point = keys.Point

	// Roster knows who holds each key, so that no key counts twice.
	Roster = keys.Roster

	// Holder is who holds a key, and the part for which: "person", "third
	// party", "operator", "log", "witness", "submitter" or "fleet key".
	Holder = keys.Holder

	// Shared is the error that two holders have the same key.
	Shared = keys.Shared
)
