// Package hsm uses PKCS#11 modules: it finds a token, logs in, generates keys that can't
// leave it, tries to get them out nevertheless, and signs. It is the only package that uses
// cgo. Built without cgo it compiles too, and [Open] says what is missing.
//
// Start with [Open], then [Module.Token] and [Token.Login]. Tokens are found by serial
// number or label, keys by CKA_ID, and each must be unique: slot numbers and object handles
// change between runs, and labels of keys are not unique.
//
// What a module reports is not evidence. To check it, a caller signs a challenge and
// verifies the signature, runs [Token.Attack], and asks for the vendor's attestation.
//
// Any goroutine may call any method. A Token is one session with one mutex, because modules
// crash if two threads share a session; for parallel work open a Token in each goroutine.
// PKCS#11 has one login for each process and token: Login on one Token logs in all that
// are open on the same token, and Logout logs all of them out.
package hsm

import (
	"io"
	"time"

	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Options for [Open].
type Options struct {
	// Trace gets one line for each PKCS#11 call: function, session or slot, mechanism or
	// attribute, return code, microseconds. It never gets a PIN, a value or a signature.
	Trace io.Writer
	// InitArgs is the reserved argument of C_Initialize, a string that NSS needs and other
	// modules don't.
	InitArgs string
	// Deadline is how long a call may take; C_GenerateKeyPair may take ten times that, and
	// a login with a PIN typed at the device any time. Zero means no limit. After a call
	// that took longer, this process calls the module no more: see [ErrNoAnswer].
	Deadline time.Duration
}

// Selector says which token is meant. Empty fields match any token, but Serial or Label
// must be given.
type Selector struct {
	Serial       string
	Label        string
	Manufacturer string
	Model        string
	Library      token.Library // what the module must report about itself
}

// Select is the part of a URI that names a token.
func Select(u *uri.URI) Selector {
	return Selector{Serial: u.Serial, Label: u.Token, Manufacturer: u.Manufacturer, Model: u.Model, Library: u.Library}
}

// Init says which token to initialise, and how.
type Init struct {
	// Selector picks the token. It may be empty if only one token is not initialised.
	Selector Selector
	Label    string // at most 32 bytes; no other token of the module may have it
	// The caller wipes the PINs. They are nil for a token with its own keypad.
	SOPIN, UserPIN []byte
	// EraseSerial allows a token to be initialised that already is, which destroys
	// everything on it. It must be that token's serial number.
	EraseSerial string
}

// SealedKey is the TPM object in which tpm2-pkcs11 keeps the key that wraps the
// authorisation values of a token's keys. PIN and salt together open it.
type SealedKey struct {
	Public, Private []byte // TPM2B_PUBLIC, TPM2B_PRIVATE
	Salt            []byte
	Parent          string // YAML that names the key above it
	ParentAuth      []byte
}
