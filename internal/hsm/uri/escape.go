package uri

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/token"
)

// What RFC 7512 lets stand unescaped in a value, beside letters and digits.
const (
	pathChars  = "-._~:[]@!$'()*+,=&"
	queryChars = "-._~:[]@!$'()*+,=/?|"
)

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func plain(c byte, chars string) bool {
	return isAlnum(c) || strings.IndexByte(chars, c) >= 0
}

// unescape reads a value; chars may stand for themselves, and nothing else may.
func unescape(s, chars string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return nil, fmt.Errorf("%q is not a percent escape", s[i:min(i+3, len(s))])
			}
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case plain(c, chars):
			out = append(out, c)
		default:
			return nil, fmt.Errorf("%q has to be written as %%%02X", c, c)
		}
	}
	return out, nil
}

func escape(s, chars string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		// An id is written in escapes throughout, so for it no character is plain.
		if chars != "" && plain(s[i], chars) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// setText stores text that may be shown to a person.
func setText(field *string, name, text string) error {
	if err := token.CheckText(text); err != nil {
		return uriErr("%s: %v", name, err)
	}
	*field = text
	return nil
}

// setField stores text that a token holds in a field of so many bytes.
func setField(field *string, name, text string, most int) error {
	if err := token.CheckField(text, most); err != nil {
		return uriErr("%s: %v", name, err)
	}
	*field = text
	return nil
}

// isVersion says whether s is major or major.minor, each of at most three digits.
func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if part == "" || len(part) > 3 || len(part) > 1 && part[0] == '0' {
			return false
		}
		for i := 0; i < len(part); i++ {
			if part[i] < '0' || part[i] > '9' {
				return false
			}
		}
	}
	return len(parts) <= 2
}
