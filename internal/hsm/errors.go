package hsm

import (
	"errors"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Error is a PKCS#11 call that failed.
type Error struct {
	Call string // C_Login
	Code string // CKR_PIN_INCORRECT
}

func (e *Error) Error() string { return e.Call + ": " + e.Code }

// Is lets errors.Is find the sentinel that stands for the return code.
func (e *Error) Is(target error) bool { return target != nil && sentinels[e.Code] == target }

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

var sentinels = map[string]error{
	"CKR_PIN_INCORRECT":          ErrPINIncorrect,
	"CKR_PIN_LOCKED":             ErrPINLocked,
	"CKR_PIN_LEN_RANGE":          ErrPINLength,
	"CKR_PIN_EXPIRED":            ErrPINExpired,
	"CKR_USER_ALREADY_LOGGED_IN": ErrAlreadyLoggedIn,
	"CKR_USER_NOT_LOGGED_IN":     ErrNotLoggedIn,
	noAnswer:                     ErrNoAnswer,
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
