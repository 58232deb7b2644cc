package words

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ShellWord quotes a file's name for a shell. People copy what they are shown
// into a shell, and the name may come from a stranger's file.
func ShellWord(s string) string {
	if len(s) > 1 && s[0] == '-' {
		s = "./" + s // a file, not a flag
	}
	return ShellQuoted(s)
}

func ShellQuoted(s string) string {
	plain := s != ""
	for _, r := range s {
		switch {
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return dollarWord(s)
		case r >= 0x80 || !isShellPlain(byte(r)):
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func isShellPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./:,@+=", c) >= 0
}

// dollarWord is a word with bytes that can't be shown, as bash, zsh and POSIX
// of 2024 read it.
func dollarWord(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if isShellPlain(c) || c == ' ' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return "$'" + b.String() + "'"
}
