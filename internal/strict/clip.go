package strict

import (
	"strings"
	"unicode/utf8"
)

// Clip cuts a text for a message to 60 bytes at most, between characters.
func Clip(s string) string { return cut(s, 60) }

// Said makes a stranger's words fit for a message: UTF-8, on one line, 300 bytes
// at most.
func Said(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return cut(strings.TrimSpace(s), 300)
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
