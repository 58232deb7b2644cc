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
	"errors"
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

// Error is a PKCS#11 call that failed.
type Error struct {
	Call string // C_Login
	Code string // CKR_PIN_INCORRECT
}

func (e *Error) Error() string { return e.Call + ": " + e.Code }

// Is lets errors.Is find the sentinel that stands for the return code.
func (e *Error) Is(target error) bool { return target != nil && sentinels()[e.Code] == target }

// The errors that a caller can act upon. ErrPINLength and ErrPINLocked come from the
// token, or from what it reports about itself, before a try is wasted.
var (
	ErrPINIncorrect    = errors.New("the PIN is wrong")
	ErrPINLocked       = errors.New("the PIN is locked")
	ErrPINFinalTry     = errors.New("one try is left before the PIN is locked")
	ErrPINLength       = errors.New("the PIN's length is not allowed")
	ErrPINExpired      = errors.New("the PIN has to be changed")
	ErrAlreadyLoggedIn = errors.New("already logged in")
	ErrNotLoggedIn     = errors.New("not logged in")

	ErrNoToken        = errors.New("no such token")
	ErrManyTokens     = errors.New("more than one such token")
	ErrNotInitialized = errors.New("the token is not initialised")
	ErrInitialized    = errors.New("the token is initialised already")

	ErrNoKey     = errors.New("no such key")
	ErrManyKeys  = errors.New("more than one such key")
	ErrKeyExists = errors.New("the key exists already")

	ErrNoData = errors.New("no such data object")

	// ErrNoAnswer is the error of a call that did not return in time. The call can't be
	// cancelled, and its outcome is unknown.
	ErrNoAnswer = errors.New("the PKCS#11 module does not answer")

	ErrClosed = errors.New("is closed")
	// ErrLeftOut is the error of every call in a build without cgo.
	ErrLeftOut = errors.New("this fleetctl was built without PKCS#11 (CGO_ENABLED=0, or not for a Unix): use a build for Linux or macOS made with CGO_ENABLED=1 and a C compiler")
)

func sentinels() map[string]error {
	return map[string]error{
		"CKR_PIN_INCORRECT":          ErrPINIncorrect,
		"CKR_PIN_LOCKED":             ErrPINLocked,
		"CKR_PIN_LEN_RANGE":          ErrPINLength,
		"CKR_PIN_EXPIRED":            ErrPINExpired,
		"CKR_USER_ALREADY_LOGGED_IN": ErrAlreadyLoggedIn,
		"CKR_USER_NOT_LOGGED_IN":     ErrNotLoggedIn,
		noAnswer:                     ErrNoAnswer,
	}
}

const noAnswer = token.NoAnswer

// lost says whether a code is about the device, the session or this computer, so that the
// same call may get another answer next time.
func lost(code string) bool {
	switch code {
	case "CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED", "CKR_DEVICE_MEMORY", "CKR_HOST_MEMORY", "CKR_TOKEN_NOT_PRESENT",
		"CKR_SESSION_CLOSED", "CKR_SESSION_HANDLE_INVALID", "CKR_CRYPTOKI_NOT_INITIALIZED", noAnswer:
		return true
	}
	return false
}

// Code is the name of the return code in err; empty if it has none.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
