package strict

import (
	"strings"
	"testing"
)

func TestLinesRefuses(t *testing.T) {
	for _, c := range []struct {
		name, in string
		read     func(*Lines)
		want     string
	}{
		{"invalid UTF-8", "a\n\xff\n", func(l *Lines) { l.Next() }, `f: is not UTF-8`},
		{"CRLF", "a\nb\r\n", func(l *Lines) { l.Next() }, `f:2: has a carriage return; lines end with LF alone`},
		{"CR at the end", "a\n\r", func(l *Lines) { l.Next() }, `f:2: has a carriage return; lines end with LF alone`},
		{"no last LF", "a\nb", func(l *Lines) { l.Next() }, `f:2: the last line has no LF at its end`},
		{"a line too many", "a\n\n", func(l *Lines) { l.Next() }, `f:2: has more lines than the format allows`},
		{"a line too few", "a\n", func(l *Lines) { l.Next(); l.Next() }, `f:2: ends here, where another line was expected`},
		{"nothing", "", func(l *Lines) { l.Next() }, `f:1: ends here, where another line was expected`},
		{"another word", "a\nb\n", func(l *Lines) { l.Literal("a"); l.Literal("c") }, `f:2: has "b" where "c" was expected`},
		{"a space too many", "a \n", func(l *Lines) { l.Literal("a") }, `f:1: has "a " where "a" was expected`},
		{"another case", "A\n", func(l *Lines) { l.Literal("a") }, `f:1: has "A" where "a" was expected`},
		{"a byte order mark", "\ufeffa\n", func(l *Lines) { l.Literal("a") }, `f:1: has "\ufeffa" where "a" was expected`},
		{"an escape sequence", "\x1b[2J\n", func(l *Lines) { l.Literal("a") }, `f:1: has "\x1b[2J" where "a" was expected`},
		{"another prefix", "b 1\n", func(l *Lines) { l.After("a ") }, `f:1: has "b 1" where a line beginning with "a " was expected`},
		{"an over-long line", strings.Repeat("x", 1e6) + "\n", func(l *Lines) { l.Literal("a") }, `f:1: has "` + strings.Repeat("x", 60) + `…" where "a" was expected`},
		{"an empty token", "t \n", func(l *Lines) { l.Token("t ") }, `f:1: is empty`},
		{"two spaces", "t  x\n", func(l *Lines) { l.Token("t ") }, `f:1: " x" has byte ' '; allowed are A-Z a-z 0-9 . _ -`},
		{"a leading zero", "n 01\n", func(l *Lines) { l.Uint("n ") }, `f:1: "01" is not a decimal integer without leading zero`},
		{"a short hash", "h ab\n", func(l *Lines) { l.Hash("h ") }, `f:1: has 2 characters, 32 bytes in lowercase hex have 64`},
		{"base64 without padding", "b YQ\n", func(l *Lines) { l.Base64("b ") }, `f:1: is not canonical base64 (standard alphabet, padded)`},
		{"the reader's own fault", "a\nb\n", func(l *Lines) { l.Next(); l.Next(); l.Failf("100%s", "%") }, `f:2: 100%`},
		{"the first fault counts", "a\nb\n", func(l *Lines) { l.Literal("x"); l.Literal("y"); l.Token("z ") }, `f:1: has "a" where "x" was expected`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewLines("f", []byte(c.in))
			c.read(l)
			wantError(t, l.Done(), c.want)
			// After a fault nothing is given out.
			h := l.Hash("")
			if l.More() || l.Next() != "" || l.After("") != "" || l.Token("") != "" || l.Uint("") != 0 || h != [32]byte{} || len(l.Base64("")) != 0 {
				t.Error("gives lines after a fault")
			}
			if _, ok := l.Peek(); ok {
				t.Error("peeks after a fault")
			}
			wantError(t, l.Err(), c.want)
		})
	}
}

func TestLinesReadInOrder(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	l := NewLines("f", []byte("v1\ntoken a.b\nn 7\nh "+hash+"\nb YQ==\n\nrest\nof it\n"))
	l.Literal("v1")
	if s, ok := l.Peek(); !ok || s != "token a.b" || l.Line() != 1 {
		t.Error(s, ok, l.Line())
	}
	if s := l.Token("token "); s != "a.b" {
		t.Error(s)
	}
	if n := l.Uint("n "); n != 7 {
		t.Error(n)
	}
	if h := l.Hash("h "); h[0] != 10 || h[31] != 10 {
		t.Error(h)
	}
	if b := l.Base64("b "); string(b) != "a" {
		t.Error(b)
	}
	l.Literal("")
	if r := l.Rest(); string(r) != "rest\nof it\n" || l.More() || l.Line() != 6 {
		t.Errorf("%q", r)
	}
	if err := l.Done(); err != nil {
		t.Error(err)
	}
	if err := NewLines("f", nil).Done(); err != nil {
		t.Errorf("an empty text of no lines: %v", err)
	}
}

func TestLinesReadersGiveNothingOnAFault(t *testing.T) {
	if s := NewLines("f", []byte("secret\n")).After("a "); s != "" {
		t.Errorf("After gives %q", s)
	}
	l := NewLines("f", []byte("a b\n"))
	if s := l.Token(""); s != "" {
		t.Errorf("Token gives %q", s)
	}
	l = NewLines("f", []byte("a\nb\n"))
	l.Literal("x")
	if r := l.Rest(); r != nil {
		t.Errorf("Rest gives %q", r)
	}
}
