// Package hsm speaks PKCS#11: it finds a token, logs in, generates keys that
// can't leave it, tries to get them out all the same, and signs. It is the
// only package that uses cgo; built without it, everything here compiles and
// [Open] says what is missing.
//
// Start with [Open], then [Module.Token] and [Token.Login]. Tokens are found
// by serial number or label and keys by CKA_ID, each exactly one: slot numbers
// and object handles change between runs, labels of keys are not unique.
//
// What a module says of itself is not evidence. Attributes read back are the
// module's claims; a caller that wants to know signs a challenge and verifies
// it, runs [Token.Attack], and asks the vendor's attestation.
//
// Goroutines: every method may be called from any goroutine. A Token is one
// session with one mutex, because modules crash when two threads share a
// session; for parallel work open a Token per goroutine. The login is shared:
// PKCS#11 knows one login per process and token, so Login on one Token logs in
// all that are open on the same token and Logout logs all of them out.
package hsm

import (
	"io"
	"time"

	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Options for [Open].
type Options struct {
	// Trace gets one line per PKCS#11 call: function, session or slot, what
	// it was about, return code, microseconds. Never a PIN, a value or a
	// signature.
	Trace io.Writer
	// InitArgs goes to C_Initialize as its reserved argument, a string that
	// NSS wants and other modules don't.
	InitArgs string
	// Deadline is how long the module may take over one call; over making a
	// key pair ten times that, and over a PIN that is typed at the device as
	// long as it wants. Zero is no bound. A module that goes over it is asked
	// nothing more in this process: see [ErrNoAnswer].
	Deadline time.Duration
}

// Selector says which token is meant. Empty fields don't matter, but Serial
// or Label must be given.
type Selector struct {
	Serial       string
	Label        string
	Manufacturer string
	Model        string
	Library      token.Library // what the module must say of itself
}

// Select is the part of a URI that names a token.
func Select(u *uri.URI) Selector {
	return Selector{Serial: u.Serial, Label: u.Token, Manufacturer: u.Manufacturer, Model: u.Model, Library: u.Library}
}

// Init says which token to initialise, and how.
type Init struct {
	// Selector picks the token. All of it may be empty where only one token
	// is not initialised.
	Selector Selector
	Label    string // at most 32 bytes; no other token of the module may have it
	// The PINs stay the caller's, to be wiped. Nil for a token that has its
	// own keypad.
	SOPIN, UserPIN []byte
	// EraseSerial lets a token be initialised that already is, which
	// destroys everything on it. It must be that token's serial number.
	EraseSerial string
}

// SealedKey is an object in a TPM from which tpm2-pkcs11 gets the key that wraps
// the authorisation values of a token's keys: what opens it is made of the PIN and
// the salt.
type SealedKey struct {
	Public, Private []byte // TPM2B_PUBLIC, TPM2B_PRIVATE
	Salt            []byte
	Parent          string // YAML that names the key above it
	ParentAuth      []byte
}
