package bundle

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// KeySetFormat is the first field of a fleet key set.
const KeySetFormat = "fleetctl fleet-keys v1"

// maxKeySet bounds a fleet key set's file, in bytes: a larger one, in base64, would
// not fit into a bundle of MaxBundle bytes.
const maxKeySet = 48 << 10

// KeySet is a fleet's public keys: fleet-keys.json, the artifact whose SHA-256
// third parties sign.
type KeySet struct {
	Format    string      `strict:"format"` // KeySetFormat; Encode sets it
	Mode      string      `strict:"mode"`   // Production or Rehearsal
	Fleet     string      `strict:"fleet,token"`
	Namespace string      `strict:"namespace,token"` // begins with "rehearsal." in a rehearsal and only then
	Epoch     uint64      `strict:"epoch"`           // from 1
	Previous  []byte      `strict:"previous,hex,empty"`
	Created   time.Time   `strict:"created"`
	Majority  int         `strict:"majority"` // HSMs, more than half
	Keys      []FleetKey  `strict:"keys"`
	Ceremony  CeremonyRef `strict:"ceremony"`

	raw []byte
}

// FleetKey is one HSM's key for one role.
type FleetKey struct {
	HSM       string    `strict:"hsm,token"`
	Role      string    `strict:"role,token"`
	Use       Use       `strict:"use"` // UseSign or UseAgree; Encode sets it by the algorithm where it is empty
	Algorithm Algorithm `strict:"algorithm"`
	SPKI      []byte    `strict:"public_key,base64"` // DER SubjectPublicKeyInfo (RFC 5280)

	// Public is the admitted key of SPKI, for this use alone: Verify refuses every
	// signature by a key that agrees, and ECDH gives nothing for a key that signs.
	// ParseKeySet sets it; Encode ignores it.
	Public *PublicKey
}

// CeremonyRef says which ceremony made the keys.
type CeremonyRef struct {
	ID         string   `strict:"id,token"`
	Plan       [32]byte `strict:"plan,hex"`       // SHA-256 of the plan's file
	Transcript [32]byte `strict:"transcript,hex"` // hash of the fleet-check record
}

// Digest is the SHA-256 of an artifact's file, which third parties sign.
func Digest(artifact []byte) [32]byte { return sha256.Sum256(artifact) }

// ParseKeySet reads a fleet key set and refuses one that contradicts itself;
// the error lists every fault. file names it in errors.
func ParseKeySet(file string, data []byte) (*KeySet, error) {
	s, err := parseKeySet(file, data)
	if err == nil {
		s.raw = bytes.Clone(data)
	}
	return s, err
}

// parseKeySet is ParseKeySet of data that nobody else has: it is kept.
func parseKeySet(file string, data []byte) (*KeySet, error) {
	s := new(KeySet)
	d, err := open(file, data, maxKeySet, KeySetFormat, s)
	if err != nil {
		return nil, err
	}
	s.checkHeader(d)
	s.checkFleet(d, s.checkKeys(d))
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	s.raw = data
	return s, nil
}

// Voices finds keys of the fleet that somebody in the roster holds for another
// part: that person could answer in the place of an HSM, and the HSM for the person.
func (s *KeySet) Voices(roster *auditlog.Roster) (faults []string) {
	for _, k := range s.Keys {
		h := keys.Holder{Part: keys.PartFleet, Name: k.HSM + "/" + k.Role}
		for _, other := range roster.Holders(k.Public.Point()) {
			if !roster.Allows(h, other) {
				faults = append(faults, (&keys.Shared{Holder: h, Other: other}).Error())
			}
		}
	}
	return faults
}

// Raw is the file as ParseKeySet read it or, for a key set made in memory, as Encode
// writes it. It must not be changed.
func (s *KeySet) Raw() []byte {
	if s.raw == nil {
		return s.Encode()
	}
	return s.raw
}

// Digest is the SHA-256 of Raw.
func (s *KeySet) Digest() [32]byte { return Digest(s.Raw()) }

// Encode writes the key set, with the keys in the order given. It checks nothing:
// whoever makes a key set has to parse what it wrote.
func (s *KeySet) Encode() []byte {
	out := *s
	out.Format = KeySetFormat
	out.Keys = slices.Clone(s.Keys)
	for i := range out.Keys {
		if k := &out.Keys[i]; k.Use == "" {
			k.Use = k.Algorithm.Use()
		}
	}
	return strict.EncodeJSON(&out)
}

// HSMs are the names of the fleet's HSMs in order of first appearance.
func (s *KeySet) HSMs() []string {
	return s.names(func(k FleetKey) string { return k.HSM })
}

// Roles are the names of the fleet's roles in order of first appearance.
func (s *KeySet) Roles() []string {
	return s.names(func(k FleetKey) string { return k.Role })
}

// PostQuantumRoles are the roles whose keys are all of ML-DSA, and those of which only some
// are. Where there are any, each node signs its sessions with a key of such a role too:
// SPEC section 28.
func (s *KeySet) PostQuantumRoles() (all, mixed []string) {
	for _, role := range s.Roles() {
		keys, strong := 0, 0
		for _, k := range s.Keys {
			if k.Role != role {
				continue
			}
			if keys++; k.Algorithm.IsMLDSA() {
				strong++
			}
		}
		switch strong {
		case 0:
		case keys:
			all = append(all, role)
		default:
			mixed = append(mixed, role)
		}
	}
	return all, mixed
}

func (s *KeySet) names(of func(FleetKey) string) []string {
	var names []string
	seen := map[string]bool{}
	for _, k := range s.Keys {
		if name := of(k); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func (s *KeySet) checkHeader(d *document) {
	if s.Mode != Production && s.Mode != Rehearsal {
		d.failf(d.at("mode"), "mode is %q; %s and %s are allowed", s.Mode, Production, Rehearsal)
	} else if strings.HasPrefix(s.Namespace, RehearsalPrefix) != (s.Mode == Rehearsal) {
		d.failf(d.at("namespace"), "namespace is %q in mode %s; it begins with %q in a rehearsal and only there", s.Namespace, s.Mode, RehearsalPrefix)
	}
	switch {
	case s.Epoch == 0:
		d.failf(d.at("epoch"), "epoch is 0; the first is 1")
	case s.Epoch == 1 && len(s.Previous) > 0:
		d.failf(d.at("previous"), "previous is given, but nothing comes before epoch 1")
	case s.Epoch > 1 && len(s.Previous) != sha256.Size:
		d.failf(d.at("previous"), "previous has %d bytes; the digest of epoch %d's artifact has %d", len(s.Previous), s.Epoch-1, sha256.Size)
	case s.Epoch > 1 && [sha256.Size]byte(s.Previous) == [sha256.Size]byte{}:
		d.failf(d.at("previous"), "previous is 32 zero bytes, which is no digest")
	}
}

// slot is a place for a key: a key set has one key for each HSM and role.
type slot struct{ hsm, role string }

// checkKeys checks each key and gives the index of each slot's key.
func (s *KeySet) checkKeys(d *document) map[slot]int {
	slots := map[slot]int{}
	points := map[string]int{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if j, twice := slots[slot{k.HSM, k.Role}]; twice {
			d.failf(d.at("keys", i), "keys[%d] is for hsm %s and role %s, as is keys[%d]", i, k.HSM, k.Role, j)
		}
		slots[slot{k.HSM, k.Role}] = i
		if j, twice := points[string(k.SPKI)]; twice {
			d.failf(d.at("keys", i, "public_key"), "keys[%d] has the same public key as keys[%d]", i, j)
		}
		points[string(k.SPKI)] = i

		if !k.Algorithm.Known() {
			d.failf(d.at("keys", i, "algorithm"), "keys[%d].algorithm is %q; allowed are %v", i, k.Algorithm, keys.Algorithms)
			continue
		}
		if k.Use != k.Algorithm.Use() {
			d.failf(d.at("keys", i, "use"), "keys[%d].use is %q; that of a key of kind %s is %s", i, k.Use, k.Algorithm, k.Algorithm.Use())
		}
		var err error
		if k.Public, err = keys.ParseAs(k.Algorithm, k.SPKI); err == nil {
			continue
		}
		if p, err := keys.ParseSPKI(k.SPKI); err != nil {
			d.failf(d.at("keys", i, "public_key"), "keys[%d].public_key %v", i, err)
		} else {
			d.failf(d.at("keys", i, "algorithm"), "keys[%d].algorithm is %s, but the key is of kind %s", i, k.Algorithm, p.Algorithm())
		}
	}
	return slots
}

// checkFleet checks the fleet as a whole: it consists of HSMs with the same roles,
// of which a majority decides. An HSM that lacks a role couldn't take part in that
// role's decisions and would still count towards the majority.
func (s *KeySet) checkFleet(d *document, slots map[slot]int) {
	hsms := s.HSMs()
	if len(hsms) == 0 {
		d.failf(d.at("keys"), "keys is empty")
		return
	}
	if n := len(hsms); s.Majority > n || s.Majority < n/2+1 {
		d.failf(d.at("majority"), "majority is %d; of %d HSMs it is at least %d and at most %d", s.Majority, n, n/2+1, n)
	}
	for _, role := range s.Roles() {
		var use Use
		for _, hsm := range hsms {
			i, ok := slots[slot{hsm, role}]
			switch {
			case !ok:
				d.failf(d.at("keys"), "hsm %s has no key for role %s, which other HSMs have", hsm, role)
			case use != "" && s.Keys[i].Use != use:
				d.failf(d.at("keys", i, "use"), "the key of hsm %s for role %s is there to %s, that of another HSM to %s", hsm, role, s.Keys[i].Use, use)
			default:
				use = s.Keys[i].Use
			}
		}
	}
}
