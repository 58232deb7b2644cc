// Package attest says, in one neutral form, what a vendor's evidence shows of a key
// and of the device that holds it (Claims), and judges this by what a verifier
// demands (Demand). Each vendor's format is read by a small package below this one;
// these share the verification of certificates (Chain), the pinned keys (Anchors)
// and the limits (Check).
//
// Nothing here reaches network, files or a clock: the same evidence, anchors,
// time and nonce give the same claims.
package attest

import (
	"fmt"
	"slices"
	"time"
)

// Answer is what evidence says about a yes-or-no attribute. Its zero value,
// NotShown, meets neither a demand for yes nor one for no.
type Answer uint8

// The answers.
const (
	NotShown Answer = iota
	True
	False
)

// Of turns a boolean of the evidence into an answer.
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

// Level is how far evidence can be believed. Its zero value is not a level: Judge
// refuses it in claims and in demands.
type Level uint8

// The levels, each better than the one before.
const (
	_             Level = iota
	None                // no evidence was given
	ModuleClaimed       // the module says so, or somebody who ran a credential activation: there is no signature that others can check
	VendorSigned        // the signatures verify, but lead to no pinned anchor
	Anchored            // the signatures verify and lead to a pinned anchor
	Fresh               // anchored, and made after the nonce was known
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
	return 0, fmt.Errorf("%q is not a level; the levels are %q", s, levels[1:])
}

// Claims is what one piece of evidence shows. A zero field means that the evidence
// doesn't show it. Names are those of draft-ietf-rats-pkix-key-attestation-08,
// where it has one.
type Claims struct {
	Format   string   // of the evidence, as its verifier names it
	Evidence [32]byte // Evidence.Digest of what was judged
	Level    Level

	Key      Key
	Platform Platform

	// Nonce is the challenge that the device signed; nil if the format has no
	// field for one or none was given.
	Nonce []byte
	// Made is when the evidence was made, by the device's own clock.
	Made time.Time

	// Anchor is the pinned key to which the signatures lead. Below the level
	// Anchored it is nil, and NoAnchor says why.
	Anchor   *Anchor
	NoAnchor string
	// Until is when the first of the certificates and the anchor ends. All were
	// valid at the time of judgement; whoever shows the claims later than Until
	// says that one has ended since.
	Until time.Time

	// Unknown is everything in the evidence that the verifier did not understand.
	Unknown []Unknown
	// Quirks are the names of the vendor's known faults that were found and
	// tolerated.
	Quirks []string
	// Details are for people: what the evidence shows beyond the fields above.
	Details []Detail
}

// Key is what the evidence shows of the key.
type Key struct {
	Identifier       string // the device's own name for the key
	SPKI             []byte // DER SubjectPublicKeyInfo of the attested key
	Extractable      Answer // whether the private half can leave the device, in the clear or wrapped
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

// Platform is what the evidence shows of the device.
type Platform struct {
	Vendor    string
	Model     string // hwmodel
	Serial    string // hwserial, as the vendor writes it
	Identity  string // the attestation identity, by which a plan names the device, so that no other can take its place
	Firmware  string // swversion: numbers separated by dots
	FIPSBoot  Answer // whether the device runs in its FIPS mode
	FIPSLevel uint64 // 1 to 4
}

// Unknown is a part of the evidence that the verifier did not understand.
type Unknown struct {
	Where string // the part and the place in it
	What  string
	// Matters says that it could change what the rest means, as an access rule or
	// a critical extension can. Then no demand is met.
	Matters bool
}

// Detail is a fact for which Claims has no field.
type Detail struct{ Name, Value string }
