package words

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many accents may stand on one letter. No language needs
// more; piles of them climb over the neighbouring lines.
const maxMarks = 4

// Clean makes text from anywhere fit for a terminal and for one line of it.
// What isn't plainly visible is written out as a Go escape: control
// characters and so every escape sequence, line breaks, bytes that aren't
// UTF-8, characters without width, and those that turn the direction of the
// text around, so that what a person reads is what the bytes say. Cleaning
// twice is cleaning once.
func Clean(s string) string {
	if isPrintableASCII(s) {
		return s
	}
	var b strings.Builder
	marks := maxMarks // an accent needs a letter of this text to stand on
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
			marks = maxMarks
		case unicode.Is(unicode.M, r) && visible(r) && marks < maxMarks:
			marks++
			b.WriteRune(r)
		case unicode.Is(unicode.M, r) || !visible(r):
			b.WriteString(escape(r))
			marks = maxMarks
		default:
			marks = 0
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// visible is narrower than unicode.IsPrint, for which some characters that
// show nothing are letters or marks.
func visible(r rune) bool {
	return unicode.IsPrint(r) && r != '\u2800' &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escape(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	switch {
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
