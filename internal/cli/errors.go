package cli

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// Exit codes, the same for every command.
const (
	ExitDone    = 0
	ExitWrong   = 1 // evidence malformed, wrong or short
	ExitUsage   = 2 // usage, missing file, bad policy, bad plan
	ExitPending = 3 // interrupted or pending, can be resumed
	ExitFailed  = 4 // the operation failed: PIN, HSM, disk, network
	ExitChanged = 5 // diff --exit-code found a change
	ExitAlarm   = 6 // the monitor raised an alarm, or what was given proves one
)

// exitError is an error that knows its exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }

// Usage gives an error ExitUsage: the caller has to correct flags, files, plan or policy.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{ExitUsage, err}
}

// Usagef is [Usage] of a new error, with a hint at what to do.
func Usagef(hint, format string, args ...any) error {
	return Usage(strict.Errorf("", format, args...).WithHint("%s", hint))
}

// Wrong gives an error ExitWrong: what was given to be checked has a fault. For a file
// that doesn't exist it is ExitUsage.
func Wrong(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return Usage(Missing(err))
	}
	return &exitError{ExitWrong, err}
}

// Missing makes the error about a file that doesn't exist one with the file's name first,
// like all others.
func Missing(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && errors.Is(err, fs.ErrNotExist) {
		return strict.Errorf(p.Path, "no such file or directory")
	}
	return err
}

// Exit is an error with an exit code of its own.
func Exit(code int, err error) error { return &exitError{code, err} }

// ErrQuiet ends a command without an error message: its output has said everything.
var ErrQuiet = errors.New("")

// ExitCode is the exit code for an error.
func ExitCode(err error) int {
	var e *exitError
	var unfit *ui.AnswerError
	var clock *engine.ClockFault
	switch {
	case errors.As(err, &unfit):
		return ExitUsage
	case err == nil:
		return ExitDone
	case durable.DiskFault(err):
		return ExitFailed // also if the error was marked as the caller's
	case errors.As(err, &clock):
		return ExitPending // people have to look at another clock
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, fs.ErrNotExist):
		return ExitUsage
	case errors.Is(err, context.Canceled), errors.Is(err, ui.ErrStop), errors.Is(err, ui.ErrAdjourn), errors.Is(err, ui.ErrInterrupted), errors.Is(err, ui.ErrNoAnswer):
		return ExitPending
	}
	return ExitFailed
}

// hinted is an error with what to do next.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string { return e.hint }

func (e *hinted) Unwrap() error { return e.error }

// InWords is an error's text, with "interrupted" instead of "context canceled".
func InWords(err error) string {
	if errors.Is(err, context.Canceled) {
		return strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted")
	}
	return err.Error()
}

// plainly adds a hint to an error about a PIN, and to an interrupt.
func plainly(err error) error {
	if text := InWords(err); text != err.Error() {
		return &hinted{errors.New(text), "run the same command again: what was finished stays"}
	}
	if hint := AboutPIN(err); hint != "" {
		return &hinted{err, hint}
	}
	return err
}

// AboutPIN says what a token's error about a PIN means; empty for any other error.
func AboutPIN(err error) string {
	switch {
	case errors.Is(err, hsm.ErrPINIncorrect):
		return "the PIN is wrong; it was not tried again, since too many tries lock a token"
	case errors.Is(err, hsm.ErrPINLocked):
		return "the PIN is locked; the token's security officer can set a new one"
	case errors.Is(err, hsm.ErrPINLength):
		return "the PIN is too short or too long for this token"
	}
	return ""
}
