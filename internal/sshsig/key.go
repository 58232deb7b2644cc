// Package sshsig reads the OpenSSH keys and signatures (OpenSSH's file
// PROTOCOL.sshsig) by which people approve and sign off. ParsePublicKey admits
// a person's key from a .pub file; Parse reads what ssh-keygen -Y sign wrote,
// and Verify checks it. It reaches no file, device or network: package sshkey
// beside it signs with key files and with ssh-agent.
//
// It accepts less than ssh-keygen -Y verify does, never more: one spelling of
// each signature, no certificates, and of a FIDO2 device only signatures for
// which somebody touched the device.
package sshsig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/mldsa"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// kind is what a key type's name says of its keys.
type kind struct {
	curve  elliptic.Curve // nil for Ed25519
	name   string         // of the curve, as the key repeats it
	device bool           // FIDO2: the key has an application, the signature flags and counter
	hybrid bool           // ML-DSA-44 and Ed25519 in one: see hybrid.go
}

// kinds are the key types people may sign with. Certificates would let someone
// else say who they are; RSA and DSA are left out.
var kinds = map[string]kind{
	"ssh-ed25519":                        {},
	"ecdsa-sha2-nistp256":                {curve: elliptic.P256(), name: "nistp256"},
	"ecdsa-sha2-nistp384":                {curve: elliptic.P384(), name: "nistp384"},
	"sk-ssh-ed25519@openssh.com":         {device: true},
	"sk-ecdsa-sha2-nistp256@openssh.com": {curve: elliptic.P256(), name: "nistp256", device: true},
	hybridType:                           {hybrid: true},
}

// Key is an admitted OpenSSH public key.
type Key struct {
	typ  string
	kind kind
	blob []byte
	ed   []byte           // an Ed25519 key's 32 bytes
	ec   *ecdsa.PublicKey // an ECDSA key
	pq   *mldsa.PublicKey // the other half of a hybrid key, beside ed
	app  string           // a FIDO2 key's application

	points []keys.Point
}

// maxInput bounds lines and files: the largest key, a hybrid one, is about 2,200
// bytes, the largest signature about 5,700, each with the longest names.
const maxInput = 8192

// ParsePublicKey reads one line of a .pub file: type, base64, comment.
func ParsePublicKey(line string) (*Key, error) {
	if strings.ContainsAny(line, "\r\n") {
		return nil, errors.New("is more than one line")
	}
	if len(line) > maxInput {
		return nil, fmt.Errorf("is longer than %d bytes", maxInput)
	}
	fields := strings.Split(line, " ")
	if len(fields) < 2 || fields[1] == "" {
		return nil, errors.New("is no OpenSSH public key; a .pub file has one")
	}
	typ, encoded := fields[0], fields[1]
	if _, ok := kinds[typ]; !ok {
		if strings.HasPrefix(encoded, "AAAA") { // so begins every key: its type's length is below 2^14
			return nil, typeError(typ)
		}
		if slices.ContainsFunc(fields[1:], func(f string) bool { _, ok := kinds[f]; return ok }) {
			return nil, errors.New("has options before its type; a .pub file has none")
		}
		return nil, errors.New("is no OpenSSH public key; a .pub file has one")
	}
	blob, err := strict.ParseBase64(encoded)
	if err != nil {
		return nil, err
	}
	k, err := ParseBlob(blob)
	if err != nil {
		return nil, err
	}
	if k.typ != typ {
		return nil, fmt.Errorf("says that it is of type %s and is of type %s", typ, k.typ)
	}
	return k, nil
}

func typeError(typ string) error {
	if checkText(typ) != nil {
		return errors.New("is of a type that has no name")
	}
	if strings.Contains(typ, "-cert-v") {
		return errors.New("is a certificate, by which somebody else says whose it is; give the key itself")
	}
	return fmt.Errorf("is of type %s; allowed are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, %s and the FIDO2 types sk-ssh-ed25519, sk-ecdsa", typ, hybridType)
}

// ParseBlob admits a key from its wire encoding, which a .pub file has in
// base64.
func ParseBlob(blob []byte) (*Key, error) {
	r := &reader{rest: bytes.Clone(blob)}
	k := &Key{blob: bytes.Clone(blob), typ: r.text("type")}
	if r.err != nil {
		return nil, r.err
	}
	var ok bool
	if k.kind, ok = kinds[k.typ]; !ok {
		return nil, typeError(k.typ)
	}
	if k.kind.curve != nil {
		if name := string(r.string("curve's name")); r.err == nil && name != k.kind.name {
			return nil, fmt.Errorf("is of type %s and on another curve", k.typ)
		}
	}
	point := r.string("point")
	if k.kind.device {
		k.app = r.text("application")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	// A device signs for whoever names an application. Other names are web
	// sites' logins, whose signatures were never meant as consent to ours.
	if k.kind.device && !strings.HasPrefix(k.app, "ssh:") {
		return nil, fmt.Errorf("is a FIDO2 key of application %q; those made for SSH start with ssh:", k.app)
	}
	if err := k.admit(point); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Key) admit(point []byte) (err error) {
	if k.kind.hybrid {
		return k.admitHybrid(point)
	}
	if k.kind.curve == nil {
		k.ed = point
		if err = keys.AdmitEd25519(point); err == nil {
			k.points = []keys.Point{keys.Ed25519Point([32]byte(point))}
		}
		return err
	}
	// Uncompressed alone: a point has no second encoding then.
	if k.ec, err = ecdsa.ParseUncompressedPublicKey(k.kind.curve, point); err != nil {
		return errors.New("is no uncompressed point of its curve")
	}
	p, err := keys.FromECDSA(k.ec)
	if err == nil {
		k.points = []keys.Point{p.Point()}
	}
	return err
}

// Points identify the key whatever its type: an ssh-ed25519 and an sk-ssh-ed25519
// key with the same point are the same key, in one person's hands. A hybrid key has
// two points, and is the same as each key that has one of them.
func (k *Key) Points() []keys.Point { return slices.Clone(k.points) }

// Type is the key's OpenSSH type.
func (k *Key) Type() string { return k.typ }

// Ed25519 is the raw key of type ssh-ed25519, whose signatures are Ed25519's
// over the message itself. A FIDO2 key's are over more than that.
func (k *Key) Ed25519() ([]byte, bool) {
	if k.kind.curve != nil || k.kind.device || k.kind.hybrid {
		return nil, false
	}
	return bytes.Clone(k.ed), true
}

// Blob is the key's wire encoding.
func (k *Key) Blob() []byte { return bytes.Clone(k.blob) }

// Fingerprint is the key's SHA256:… as OpenSSH prints it.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256(k.blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// String is type and base64 as in a .pub file, without the comment.
func (k *Key) String() string {
	return k.typ + " " + base64.StdEncoding.EncodeToString(k.blob)
}

// Equal says whether both are the same key. A FIDO2 key with another application is
// another key.
func (k *Key) Equal(other *Key) bool {
	return k != nil && other != nil && bytes.Equal(k.blob, other.blob)
}
