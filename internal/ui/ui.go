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
	"strconv"
	"strings"
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

	code func() error // shows the code that goes with a question; nil where none does
	name asked        // the question, as a file of answers calls it

	keeps bool            // what is said is kept, to be shown again
	kept  strings.Builder // what was

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
		if o.keeps {
			o.kept.WriteString(s)
		}
	}
}

// Keep has do say what can be shown again with Again.
func (o *Output) Keep(do func() error) error {
	o.kept.Reset()
	o.keeps = true
	defer func() { o.keeps = false }()
	return do()
}

// Forget ends what Again shows: something else has begun.
func (o *Output) Forget() { o.kept.Reset() }

// Kept is how many lines that were, and whether they are more than the terminal shows
// at once with a question below them.
func (o *Output) Kept() (lines int, more bool) {
	lines = strings.Count(o.kept.String(), "\n")
	rows := o.rows()
	return lines, rows > 0 && lines > rows
}

// besides are the rows that a page leaves for the question below it.
const besides = 4

// rows is how many lines of a text the terminal shows with a question below them; 0
// where there is no terminal.
func (o *Output) rows() int {
	if !isTerminal(o.err) {
		return 0
	}
	_, rows, err := term.GetSize(int(fileOf(o.err).Fd()))
	if err != nil || rows <= 0 {
		return 0
	}
	return max(rows-besides, 1)
}

// Again shows what was kept once more, a screen at a time.
func (o *Output) Again() error {
	if o.kept.Len() == 0 {
		o.Say(o.Talk.Line("Nothing stands above this question that would be shown again."))
		return nil
	}
	lines := strings.SplitAfter(o.kept.String(), "\n")
	for len(lines) > 0 {
		n := len(lines)
		if rows := o.rows(); rows > 0 {
			n = min(n, rows)
		}
		o.Say(lines[:n]...)
		if lines = lines[n:]; len(lines) == 0 || len(lines) == 1 && lines[0] == "" {
			return nil
		}
		o.About("read", "")
		if _, err := o.Ask("Enter shows the next lines, of which there are " + strconv.Itoa(len(lines)-1) + ":"); err != nil {
			return err
		}
	}
	return nil
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
