package ui

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

const program = "fleetctl: "

// maxFaults is how many errors of one file are of use to anybody; a file that
// somebody else made can have a million.
const maxFaults = 50

// Fault puts an error into lines: what and where first, then, set in below
// it, what to do next. Each of several errors has its own.
func (p Page) Fault(err error) string {
	if err == nil {
		return ""
	}
	all := faults(err)
	if more := len(all) - maxFaults; more > 0 {
		all = append(all[:maxFaults], fault{text: fmt.Sprintf("and %s more", words.Number(int64(more)))})
	}
	var b strings.Builder
	for _, f := range all {
		lead := p.paint(Wrong, strings.TrimSpace(program)) + " "
		for _, line := range lines(f.text) {
			p.faultLine(&b, lead, line)
			lead = spaces(len(program))
		}
		for _, line := range lines(f.hint) {
			p.faultLine(&b, spaces(len(program)), line)
		}
	}
	return b.String()
}

// faultLine folds a line only where somebody reads it: in a log, one error is
// one line. Commands to copy are left whole.
func (p Page) faultLine(b *strings.Builder, lead, line string) {
	line = words.Clean(strings.ReplaceAll(line, "\t", "  "))
	if !p.folded || strings.HasPrefix(line, "next: ") {
		b.WriteString(lead + line + "\n")
		return
	}
	p.hang(b, lead, line, Text)
}

type fault struct{ text, hint string }

// faults takes joined and listed errors apart. A list keeps before each of
// its errors what was wrapped around the whole; what can't be taken apart
// without losing a word stays in one piece.
func faults(err error) []fault {
	var all []fault
	if joined := joinedIn(err); len(joined) > 0 {
		for _, e := range joined {
			all = append(all, faults(e)...)
		}
		return all
	}
	var list strict.Errors
	if errors.As(err, &list) && len(list) > 0 {
		if outside, ok := strings.CutSuffix(err.Error(), list.Error()); ok {
			for _, e := range list {
				all = append(all, fault{outside + e.Error(), e.Hint})
			}
			return all
		}
	}
	text := err.Error()
	if strings.TrimSpace(text) == "" { // an error is never silent
		text = "failed without saying why"
	}
	return []fault{{text, hintOf(err)}}
}

// joinedIn gives the errors of an errors.Join, which are lines of their own;
// an error that fmt.Errorf made of several is one sentence.
func joinedIn(err error) []error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok || strings.Count(err.Error(), "\n") < len(many.Unwrap())-1 {
		return nil
	}
	return many.Unwrap()
}

// hintOf finds what to do next, in a strict.Error or in any error that says.
func hintOf(err error) string {
	var s *strict.Error
	if errors.As(err, &s) {
		return s.Hint
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// lines splits a text, without an empty one at its end.
func lines(s string) []string {
	if s = strings.TrimRight(s, "\n"); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
