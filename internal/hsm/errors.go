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

// What can go wrong and a caller can act upon. ErrPINIncorrect, ErrPINLength
// and ErrPINLocked may come from the token or, before a try is wasted, from
// what it says of itself.
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

	// ErrNoAnswer is a module that didn't come back in time. Its call can't be
	// called off, and what becomes of it isn't known.
	ErrNoAnswer = errors.New("the PKCS#11 module does not answer")

	ErrClosed = errors.New("is closed")
	// ErrLeftOut is all that a build without cgo can answer.
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

// lost says that a code is about the device, the session or this computer, and
// says nothing about what was asked: the answer may be another one next time.
func lost(code string) bool {
	switch code {
	case "CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED", "CKR_DEVICE_MEMORY", "CKR_HOST_MEMORY", "CKR_TOKEN_NOT_PRESENT",
		"CKR_SESSION_CLOSED", "CKR_SESSION_HANDLE_INVALID", "CKR_CRYPTOKI_NOT_INITIALIZED", noAnswer:
		return true
	}
	return false
}

// Code is the return code's name in err, empty where no call failed.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
