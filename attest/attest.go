// Package attest says what a vendor's evidence shows of a key and of the device
// that holds it, in one neutral form, and judges it against what somebody
// demands. Each vendor's format is read by a small package below this one; they
// share the chain of certificates (Chain), the pinned keys (Anchors) and the
// bounds (Check).
//
// Nothing here reaches network, files or a clock: the same evidence, anchors,
// time and nonce give the same claims.
package attest

import (
	"fmt"
	"slices"
	"time"
)

// Answer is what evidence says about a yes-or-no attribute. Its zero value is
// NotShown, which meets no demand, neither for yes nor for no.
type Answer uint8

// The answers.
const (
	NotShown Answer = iota
	True
	False
)

// Of is the answer that a field of the evidence gives.
func Of(b bool) Answer {
	if b {
		return True
	}
	return False
}

func (a Answer) String() string {
	switch a {
	case True:
		return "true"
	case False:
		return "false"
	}
	return "not shown"
}

// Level is how far evidence can be believed. Its zero value is no level: Judge
// refuses it, in claims and in demands.
type Level uint8

// The levels, each better than the one before.
const (
	_             Level = iota
	None                // no evidence was given
	ModuleClaimed       // what the module, or an activation of somebody else's, says: no signature that a stranger can check
	VendorSigned        // signed, and the signatures fit, but no pinned anchor stands above them
	Anchored            // signed, under a key that is pinned
	Fresh               // anchored, and made after the nonce that was asked with
)

var levels = []string{None: "none", ModuleClaimed: "module-claimed", VendorSigned: "vendor-signed", Anchored: "anchored", Fresh: "fresh"}

func (l Level) String() string {
	if l < None || l > Fresh {
		return "no level"
	}
	return levels[l]
}

// ParseLevel reads a level by its name.
func ParseLevel(s string) (Level, error) {
	if i := slices.Index(levels, s); i > 0 {
		return Level(i), nil
	}
	return 0, fmt.Errorf("%q is no level: they are %q", s, levels[1:])
}

// Claims is what one piece of evidence shows. A member that is left as it is
// says that the evidence doesn't show it. Names are those of
// draft-ietf-rats-pkix-key-attestation-08, where it has one.
type Claims struct {
	Format   string   // of the evidence: the verifier's
	Evidence [32]byte // Evidence.Digest of what was judged
	Level    Level

	Key      Key
	Platform Platform

	// Nonce is what the device signed as its challenge; nil where the format has
	// no room for one or none was given.
	Nonce []byte
	// Made is when the device says that it made the evidence: its own word.
	Made time.Time

	// Anchor is the pinned key under which the evidence stands, nil below
	// Anchored; NoAnchor then says why there is none.
	Anchor   *Anchor
	NoAnchor string
	// Until is the earliest end of the certificates and the anchor: they were
	// valid at the time judged at, and whoever shows the claims later says that
	// they ended since.
	Until time.Time

	// Unknown is everything in the evidence that the verifier did not understand.
	Unknown []Unknown
	// Quirks are the vendor's known faults that were met and are tolerated by
	// name.
	Quirks []string
	// Details are what the evidence shows beyond the neutral names: for people.
	Details []Detail
}

// Key is what is shown of the key.
type Key struct {
	Identifier       string // the device's own name of the key
	SPKI             []byte // DER SubjectPublicKeyInfo of the key that is attested
	Extractable      Answer // whether the private half can leave in the clear or wrapped
	Sensitive        Answer // whether it can't be read in the clear
	NeverExtractable Answer // whether extractable was never true
	Local            Answer // true: generated inside; false: imported
	Expires          time.Time
	Purpose          Purpose
}

// Purpose is what the key may do.
type Purpose struct {
	Sign, Decrypt, Wrap, Unwrap, Derive Answer
}

// Platform is what is shown of the device.
type Platform struct {
	Vendor    string
	Model     string // hwmodel
	Serial    string // hwserial, as the vendor writes it
	Identity  string // the attestation identity: by it a plan names the device, and substitution is refused
	Firmware  string // swversion: numbers parted by dots
	FIPSBoot  Answer // whether the device runs in its FIPS mode
	FIPSLevel uint64 // 1 to 4
}

// Unknown is a part of the evidence that the verifier did not understand.
type Unknown struct {
	Where string // the part and the place in it
	What  string
	// Matters says that it could change what the rest means: an access rule, a
	// critical extension. No demand is met then.
	Matters bool
}

// Detail is a fact without a neutral name.
type Detail struct{ Name, Value string }
