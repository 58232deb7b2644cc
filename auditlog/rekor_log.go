package auditlog

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ed25519"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// RekorLog is a Rekor log that a verifier pins.
type RekorLog struct {
	version int
	origin  string
	key     *Verifier
	ecdsa   *ecdsa.PublicKey // version 1: signs the entry's timestamp too
	id      [32]byte
}

// NewRekorLog pins a log.
//
// The origin is the name that the log gives itself in its checkpoints: its
// hostname. Version 1 writes a tree's number behind it, as in
// "rekor.example - 1193050959916656506". An origin with a number pins that tree
// alone; one without pins all trees of that log.
//
// The key is a vkey, or a public key (SubjectPublicKeyInfo) in PEM or base64.
func NewRekorLog(version int, origin, key string) (*RekorLog, error) {
	l := &RekorLog{version: version, origin: origin}
	name, tree, sharded := strings.Cut(origin, " - ")
	switch {
	case version != RekorV1 && version != RekorV2:
		return nil, fmt.Errorf("the version is %d; known are 1 and 2", version)
	case sharded && version == RekorV2:
		return nil, errors.New("the origin has a tree's number, which only version 1 has")
	case sharded && !decimal(tree):
		return nil, fmt.Errorf("the origin's tree %q is no number", strict.Clip(tree))
	}
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("the origin: %w", err)
	}
	vkey, err := rekorVKey(name, key)
	if err != nil {
		return nil, fmt.Errorf("the log's key %w", err)
	}
	if l.key, err = parseVKey(vkey); err != nil {
		return nil, fmt.Errorf("the log's key %w", err)
	}
	if l.key.name != name {
		return nil, fmt.Errorf("the log's key is of %q, the origin is %q", l.key.name, name)
	}
	if err := l.identify(); err != nil {
		return nil, fmt.Errorf("the log's key %w", err)
	}
	return l, nil
}

// identify computes the log's id: the SHA-256 of its public key or, for an Ed25519
// key, the whole digest of whose first four bytes a signed note's key hash consists.
func (l *RekorLog) identify() error {
	switch l.key.typ {
	case ECDSA:
		l.id = sha256.Sum256(l.key.key)
		pub, err := admitECDSA(l.key.key)
		if err != nil {
			return err
		}
		l.ecdsa = pub
	case Ed25519:
		if l.version == RekorV1 {
			return errors.New("is Ed25519; a log of version 1 signs with ECDSA")
		}
		l.id = sha256.Sum256(append([]byte(l.key.name+"\n\x01"), l.key.key...))
	default:
		return fmt.Errorf("has type 0x%02x; a Rekor log's has 0x01 or 0x02", byte(l.key.typ))
	}
	return nil
}

// rekorVKey makes a vkey of a public key and the log's name.
func rekorVKey(name, key string) (string, error) {
	key = strings.TrimSpace(key)
	_, notVKey := parseVKey(key)
	if notVKey == nil {
		return key, nil
	}
	public, err := ParsePublicKey(key)
	switch {
	case errors.Is(err, errNoPublicKey) && strings.Contains(key, "+"):
		return "", notVKey
	case err != nil:
		return "", err
	}
	v := &Verifier{name: name, typ: ECDSA, key: public.SPKI()}
	if raw, ok := public.Ed25519(); ok {
		v.typ, v.key = Ed25519, raw
	}
	v.hash = keyHash(name, v.typ, v.key)
	return v.String(), nil
}

var errNoPublicKey = errors.New("is no vkey and no public key in PEM or base64")

// ParsePublicKey reads a public key (SubjectPublicKeyInfo) in PEM or in
// base64.
func ParsePublicKey(key string) (*PublicKey, error) {
	key = strings.TrimSpace(key)
	if block, rest := pem.Decode([]byte(key)); block != nil {
		if block.Type != "PUBLIC KEY" || len(block.Headers) > 0 || len(rest) > 0 {
			return nil, errors.New("is no single PEM block PUBLIC KEY")
		}
		return keys.ParseSPKI(block.Bytes)
	}
	der, err := strict.ParseBase64(key)
	if err != nil || len(der) == 0 {
		return nil, errNoPublicKey
	}
	return keys.ParseSPKI(der)
}

func decimal(s string) bool { return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == "" }

// Version is 1 or 2.
func (l *RekorLog) Version() int { return l.version }

// Origin is the origin that was pinned.
func (l *RekorLog) Origin() string { return l.origin }

// ID is the SHA-256 by which entries name the log's key.
func (l *RekorLog) ID() [32]byte { return l.id }

// VKey is the log's key, with its name.
func (l *RekorLog) VKey() string { return l.key.String() }

// Point is the point of the log's key.
func (l *RekorLog) Point() Point { return l.key.point }

// SameKey says whether a public key (SubjectPublicKeyInfo in PEM or base64) is
// the pinned one.
func (l *RekorLog) SameKey(key string) bool {
	public, err := ParsePublicKey(key)
	return err == nil && base64.StdEncoding.EncodeToString(public.SPKI()) == base64.StdEncoding.EncodeToString(l.spki())
}

// spki is the pinned key's SubjectPublicKeyInfo.
func (l *RekorLog) spki() []byte {
	if l.key.typ == ECDSA {
		return l.key.key
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(l.key.key))
	if err != nil {
		return nil // an admitted key always encodes
	}
	return der
}

// Signs says whether an origin is the one that the pinned log puts into its
// checkpoints. Only a checkpoint's signature shows that it is the log's.
func (l *RekorLog) Signs(origin string) bool {
	if origin == l.origin {
		return l.version == RekorV2 || strings.Contains(origin, " - ")
	}
	tree, ok := strings.CutPrefix(origin, l.origin+" - ")
	return ok && l.version == RekorV1 && decimal(tree)
}
