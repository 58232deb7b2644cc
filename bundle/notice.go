package bundle

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Formats of the artifacts that use up an epoch without bringing keys.
const (
	RetirementFormat = "fleetctl fleet-retirement v1"
	VoidFormat       = "fleetctl void v1"
)

// maxNotice bounds a notice's file, in bytes.
const maxNotice = 4 << 10

// maxReason bounds the reason that a notice gives, in bytes.
const maxReason = 1000

// Notice is an artifact without keys. It is signed, countersigned and logged like a
// key set, and has an epoch of its own:
//
//   - a retirement ends its fleet: nobody may use its keys from Effective on, and
//     no later artifact of this fleet counts;
//   - a void says that the epoch before it, whose artifact some third parties
//     have signed, was abandoned and never came into force.
type Notice struct {
	Format    string     `strict:"format"` // RetirementFormat or VoidFormat
	Mode      string     `strict:"mode"`
	Fleet     string     `strict:"fleet,token"`
	Namespace string     `strict:"namespace,token"`
	Epoch     uint64     `strict:"epoch"`
	Previous  [32]byte   `strict:"previous,hex"` // digest of the epoch before; of a void: the abandoned artifact's
	Created   time.Time  `strict:"created"`
	Effective *time.Time `strict:"effective,optional"` // required in a retirement, absent in a void
	Reason    string     `strict:"reason"`

	raw []byte
}

// Encode writes the notice. It checks nothing: whoever makes a notice has to parse
// what it wrote.
func (n *Notice) Encode() []byte { return strict.EncodeJSON(n) }

// Raw is the file as it was read. It must not be changed.
func (n *Notice) Raw() []byte {
	if n.raw == nil {
		return n.Encode()
	}
	return n.raw
}

// Digest is the SHA-256 of Raw: what third parties sign.
func (n *Notice) Digest() [32]byte { return sha256.Sum256(n.Raw()) }

// Retires says that the notice ends its fleet.
func (n *Notice) Retires() bool { return n.Format == RetirementFormat }

// Voids says that the notice voids the epoch before its own.
func (n *Notice) Voids() bool { return n.Format == VoidFormat }

// ParseNotice reads a retirement or a void. file names it in errors.
func ParseNotice(file string, data []byte) (*Notice, error) {
	format := RetirementFormat
	if FormatOf(data) == VoidFormat {
		format = VoidFormat
	}
	n := new(Notice)
	d, err := open(file, data, maxNotice, format, n)
	if err != nil {
		return nil, err
	}
	if n.Mode != Production && n.Mode != Rehearsal {
		d.failf(d.at("mode"), "mode is %q; %s and %s are allowed", n.Mode, Production, Rehearsal)
	} else if strings.HasPrefix(n.Namespace, RehearsalPrefix) != (n.Mode == Rehearsal) {
		d.failf(d.at("namespace"), "namespace is %q in mode %s; it begins with %q in a rehearsal and only there", n.Namespace, n.Mode, RehearsalPrefix)
	}
	if n.Epoch < 2 {
		d.failf(d.at("epoch"), "epoch is %d; there has to be an epoch before it, so it is at least 2", n.Epoch)
	}
	if len(n.Reason) > maxReason || strings.ContainsFunc(n.Reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.failf(d.at("reason"), "reason is longer than %d bytes or has control characters; it is one line", maxReason)
	}
	switch effective := n.Effective != nil; {
	case n.Retires() && !effective:
		d.failf(d.root(), "effective is missing: a retirement says from when on nobody may use the fleet's keys")
	case n.Voids() && effective:
		d.failf(d.at("effective"), "effective is given, but a void has none: the epoch never came into force")
	}
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	n.raw = bytes.Clone(data)
	return n, nil
}

// FormatOf is the value of the first field if its name is format. It serves to
// choose a reader, which then checks the file.
func FormatOf(data []byte) string {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(data[:min(len(data), 1024)], " \t\r\n{"), []byte(`"format"`))
	if !ok {
		return ""
	}
	_, rest, ok = bytes.Cut(rest[:min(len(rest), 128)], []byte(`"`))
	value, _, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return ""
	}
	return string(value)
}

// about is what statements and countersignatures say of an artifact.
type about struct {
	mode, fleet, namespace string
	epoch                  uint64
	digest                 [32]byte
	retires                bool
}

func (s *KeySet) about() about {
	return about{s.Mode, s.Fleet, s.Namespace, s.Epoch, s.Digest(), false}
}

func (n *Notice) about() about {
	return about{n.Mode, n.Fleet, n.Namespace, n.Epoch, n.Digest(), n.Retires()}
}

// About is what an artifact says of itself, be it a key set or a notice.
type About struct {
	Mode, Fleet, Namespace string
	Epoch                  uint64
	Digest                 [32]byte
	Previous               []byte // digest of the artifact of the epoch before; empty at epoch 1
	Voids, Retires         bool   // see Notice
	Ceremony               string // id of the ceremony that made it; empty for a notice
}

// About is what the bundle's artifact says of itself.
func (b *Bundle) About() About {
	a := b.about()
	out := About{a.mode, a.fleet, a.namespace, a.epoch, a.digest, nil, false, a.retires, ""}
	if b.KeySet != nil {
		out.Ceremony = b.KeySet.Ceremony.ID
	}
	out.Previous, out.Voids = bytes.Clone(b.previous()), b.Notice != nil && b.Notice.Voids()
	return out
}

// previous is the digest of the artifact that the bundle's artifact follows. It
// must not be changed.
func (b *Bundle) previous() []byte {
	if b.Notice != nil {
		return b.Notice.Previous[:]
	}
	return b.KeySet.Previous
}
