package main

import (
	"errors"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// pin gets a PIN from its source: nil where the device asks for it. Whoever
// gets it clears it.
func (a *app) pin(source, whose string) (pin []byte, method string, err error) {
	s, err := ceremony.ParsePINSource(source)
	if err != nil {
		return nil, "", usagef("it is terminal, protected, fd:N or file:/absolute/path; a PIN itself is never taken from the command line", "the source of the PIN of %s: %v", whose, err)
	}
	switch s.Kind {
	case ceremony.PINProtected:
	case ceremony.PINFile:
		pin, err = ui.PINFromFile(s.Path)
	case ceremony.PINFD:
		pin, err = ui.PINFromFD(s.FD)
	default:
		pin, err = a.ui.ReadPIN("PIN of " + whose + ":")
	}
	return pin, string(s.Kind), err
}

// pinSource reads a URI's pin-source, which RFC 7512 lets be a bare path too.
func pinSource(s string) string {
	switch {
	case s == "":
		return string(ceremony.PINTerminal)
	case strings.HasPrefix(s, "/"):
		return "file:" + s
	}
	return s
}

// hinted is an error with what to do next.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

// plainly adds, to what a token answered about a PIN, what that means.
func plainly(err error) error {
	if hint := aboutPIN(err); hint != "" {
		return &hinted{err, hint}
	}
	return err
}

func aboutPIN(err error) string {
	switch {
	case errors.Is(err, hsm.ErrPINIncorrect):
		return "the PIN is wrong; it was tried once, since too many tries lock a token"
	case errors.Is(err, hsm.ErrPINLocked):
		return "the PIN is locked; the token's security officer can set a new one"
	case errors.Is(err, hsm.ErrPINLength):
		return "the PIN is too short or too long for this token"
	}
	return ""
}
