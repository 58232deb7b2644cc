// Package ui is all that fleetctl says to a person and hears from one. No
// other package writes to a terminal or reads from one.
//
// The rules:
//
//   - Standard output is the result; everything else, prompts and progress
//     too, goes to standard error.
//   - Words carry the meaning. Colour, lines and alignment only repeat it, so
//     nothing is lost without them: Plain drops them and keeps every word.
//   - Colour is decided once, here, and separately for each stream.
//   - Text from files, devices and other machines is hostile. Everything that
//     is rendered goes through [Clean], so that no escape sequence but our own
//     reaches a terminal.
//   - Nobody consents by accident: consent is typed words, the end of input
//     is a refusal, and a question that can't be seen isn't asked.
//   - The screen only grows. Nothing but the one line of [Progress] is ever
//     rewritten, so a session can be scrolled back, recorded and read aloud.
//
// [New] makes an [Output]. Its methods that render return strings and are
// those of its [Page], so that a command's output is tested without a process.
package ui

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// Options say what to talk to. Zero values stand for the process's own
// streams and environment.
type Options struct {
	Stdout, Stderr io.Writer
	Stdin          io.Reader
	Color          string // auto (or empty), always, never
	Plain          bool   // words only: no lines, no marks, no colour, nothing rewritten
	Env            func(string) string
	Width          int // 0: the terminal's
}

// Output is one run's conversation with a person. The Page within it renders
// for standard output, Talk for standard error.
type Output struct {
	Page
	Talk Page

	out, err io.Writer
	in       io.Reader
	live     bool // standard error is a terminal whose line may be rewritten
	news     News // what may come while a question stands; nil where nothing is waited for

	mu      sync.Mutex
	pending bool // a progress line stands on standard error
}

// New decides, once, how to speak.
func New(o Options) (*Output, error) {
	switch o.Color {
	case "", "auto", "always", "never":
	default:
		return nil, fmt.Errorf("--color is %q; it can be auto, always or never", o.Color)
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Env == nil {
		o.Env = os.Getenv
	}
	return &Output{
		Page: newPage(o, o.Stdout),
		Talk: newPage(o, o.Stderr),
		out:  o.Stdout,
		err:  o.Stderr,
		in:   o.Stdin,
		live: isTerminal(o.Stderr) && !o.Plain && o.Env("TERM") != "dumb",
	}, nil
}

// Stdout is where a result goes that isn't rendered here, such as JSON.
func (o *Output) Stdout() io.Writer { return o.out }

// Print writes to standard output. A result that can't be written wasn't
// delivered, so its error counts.
func (o *Output) Print(parts ...string) error {
	o.clearLine()
	for _, s := range parts {
		if _, err := io.WriteString(o.out, s); err != nil {
			return err
		}
	}
	return nil
}

// Say writes to standard error. Whoever closed it doesn't want to hear.
func (o *Output) Say(parts ...string) {
	o.clearLine()
	for _, s := range parts {
		_, _ = io.WriteString(o.err, s)
	}
}

// Error says what went wrong, where, and what to do next.
func (o *Output) Error(err error) { o.Say(o.Talk.Fault(err)) }

// Interactive says whether a person can be asked: they see the question and
// can type the answer.
func (o *Output) Interactive() bool { return isTerminal(o.in) && isTerminal(o.err) }

// fileOf gives the file behind a stream, nil where there is none.
func fileOf(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}

func isTerminal(stream any) bool {
	f := fileOf(stream)
	return f != nil && term.IsTerminal(int(f.Fd()))
}
