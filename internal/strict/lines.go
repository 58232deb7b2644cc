package strict

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Lines reads a text of lines that each end with LF, the last one too. Like
// bufio.Scanner it keeps its first error: read on, then ask Done.
type Lines struct {
	file string
	rest []byte
	line int
	err  error
}

// NewLines starts at the text's first line.
func NewLines(file string, data []byte) *Lines {
	l := &Lines{file: file, rest: data}
	switch {
	case !utf8.Valid(data):
		l.err = Errorf(file, "is not UTF-8")
	case bytes.IndexByte(data, '\r') >= 0:
		l.err = At(file, 1+bytes.Count(data[:bytes.IndexByte(data, '\r')], []byte("\n")), "has a carriage return; lines end with LF alone")
	case len(data) > 0 && data[len(data)-1] != '\n':
		l.err = At(file, 1+bytes.Count(data, []byte("\n")), "the last line has no LF at its end")
	}
	return l
}

// More says whether a line is left.
func (l *Lines) More() bool { return l.err == nil && len(l.rest) > 0 }

// Peek gives the next line without taking it.
func (l *Lines) Peek() (string, bool) {
	if !l.More() {
		return "", false
	}
	i := bytes.IndexByte(l.rest, '\n')
	return string(l.rest[:i]), true
}

// Next takes a line, without its LF.
func (l *Lines) Next() string {
	if l.err != nil {
		return ""
	}
	if len(l.rest) == 0 {
		l.line++
		l.Failf("ends here, where another line was expected")
		return ""
	}
	i := bytes.IndexByte(l.rest, '\n')
	s := string(l.rest[:i])
	l.rest = l.rest[i+1:]
	l.line++
	return s
}

// Literal takes a line that must be exactly want.
func (l *Lines) Literal(want string) {
	if got := l.Next(); l.err == nil && got != want {
		l.Failf("has %q where %q was expected", Clip(got), want)
	}
}

// After takes a line that must begin with prefix and gives the rest of it.
func (l *Lines) After(prefix string) string {
	got := l.Next()
	if l.err != nil {
		return ""
	}
	rest, ok := strings.CutPrefix(got, prefix)
	if !ok {
		l.Failf("has %q where a line beginning with %q was expected", Clip(got), prefix)
		return ""
	}
	return rest
}

// Token, Uint, Hash and Base64 take a line that begins with prefix and read
// the rest of it as what they are named after.
func (l *Lines) Token(prefix string) string {
	s := l.After(prefix)
	if l.Check(CheckToken(s)); l.err != nil {
		return ""
	}
	return s
}

// Uint: see Token.
func (l *Lines) Uint(prefix string) uint64 {
	n, err := ParseUint(l.After(prefix))
	l.Check(err)
	return n
}

// Hash: see Token.
func (l *Lines) Hash(prefix string) [32]byte {
	h, err := ParseHash(l.After(prefix))
	l.Check(err)
	return h
}

// Base64: see Token.
func (l *Lines) Base64(prefix string) []byte {
	b, err := ParseBase64(l.After(prefix))
	l.Check(err)
	return b
}

// Check blames the line just taken for err, if there is one.
func (l *Lines) Check(err error) {
	if err != nil {
		l.Failf("%v", err)
	}
}

// Failf blames the line just taken.
func (l *Lines) Failf(format string, args ...any) {
	if l.err == nil {
		l.err = At(l.file, l.line, "%s", fmt.Sprintf(format, args...))
	}
}

// Rest takes everything that is left.
func (l *Lines) Rest() []byte {
	r := l.rest
	l.rest = nil
	if l.err != nil {
		return nil
	}
	return r
}

// Line is the number of the line just taken.
func (l *Lines) Line() int { return l.line }

// Err is the first fault met so far.
func (l *Lines) Err() error { return l.err }

// Done is the first fault met; text that is left over is one.
func (l *Lines) Done() error {
	if l.err == nil && len(l.rest) > 0 {
		l.line++
		l.Failf("has more lines than the format allows")
	}
	return l.err
}
