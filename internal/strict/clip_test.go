package strict

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestStrangersWordsAreShortAndOnOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " a b ": "a b", "a\nb\r\x1b[31mc\x7f\u0085d": "a b  [31mc  d", "\xff": "\uFFFD", "äöü": "äöü",
		strings.Repeat("x", 301):       strings.Repeat("x", 300) + "…",
		strings.Repeat("x", 299) + "ä": strings.Repeat("x", 299) + "…",
	} {
		if got := Said(in); got != want {
			t.Errorf("%q is said as %q, want %q", in, got, want)
		}
	}
	for n := range 80 {
		for _, s := range []string{strings.Repeat("x", n), strings.Repeat("ä", n), strings.Repeat("日", n), strings.Repeat("\xff", n)} {
			got := Clip(s)
			if len(got) > 60+len("…") || utf8.ValidString(s) != utf8.ValidString(got) || len(s) <= 60 && got != s {
				t.Errorf("%q is cut to %q", s, got)
			}
		}
	}
}
