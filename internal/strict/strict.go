// Package strict reads JSON, YAML and line-based text and refuses whatever
// isn't exactly what was asked for: unknown, missing or repeated fields,
// trailing bytes, fractions in place of integers, base64 in any spelling but the
// canonical one.
//
// Everything a person signed is read through this package, so that no two
// readers can disagree about what the bytes say. Each refusal is an *Error
// that names file and line and, where that helps, what to do next.
package strict

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a refusal: what was wrong, where, and what to do next.
type Error struct {
	File string // as the caller named it; may be empty
	Line int    // counted from 1; 0 where no line is to blame
	Msg  string
	Hint string // what to do next; may be empty, may have several lines

	cause error
}

// Because keeps the error that caused this one, so that errors.Is and errors.As
// find it. Its text is in Msg already.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

// Unwrap is the cause, where there is one.
func (e *Error) Unwrap() error { return e.cause }

// Error gives the first line only; Hint is for whoever shows it to a person.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	} else if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	b.WriteString(e.Msg)
	return b.String()
}

// Errorf makes an Error for a whole file.
func Errorf(file, format string, args ...any) *Error {
	return &Error{File: file, Msg: fmt.Sprintf(format, args...)}
}

// At makes an Error for one line of a file.
func At(file string, line int, format string, args ...any) *Error {
	return &Error{File: file, Line: line, Msg: fmt.Sprintf(format, args...)}
}

// WithHint says what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Renamed is an error of this package with its files named otherwise: as rename names
// them. Another error is left as it is.
func Renamed(err error, rename func(file string) string) error {
	switch e := err.(type) {
	case *Error:
		renamed := *e
		renamed.File = rename(e.File)
		return &renamed
	case Errors:
		list := make(Errors, len(e))
		for i, one := range e {
			renamed := *one
			renamed.File = rename(one.File)
			list[i] = &renamed
		}
		return list
	}
	return err
}

// Errors is every fault found in one file, in the file's order.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Err is nil where nothing was found, so that a nil list isn't a non-nil error.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Add appends a fault; a list of faults is taken apart.
func (e *Errors) Add(err error) {
	if err == nil {
		return
	}
	var list Errors
	if errors.As(err, &list) {
		*e = append(*e, list...)
		return
	}
	var one *Error
	if errors.As(err, &one) {
		*e = append(*e, one)
		return
	}
	*e = append(*e, &Error{Msg: err.Error()})
}
