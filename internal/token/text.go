package token

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Library is what a PKCS#11 library says of itself, or is to say; empty fields don't
// matter then.
type Library struct {
	Manufacturer string
	Description  string
	Version      string // "major.minor"
}

// CheckText says whether text can be shown to a person: it is UTF-8, and all of it can
// be printed.
func CheckText(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%q is not UTF-8", text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%q has the character %U, which can't be printed", text, r)
		}
	}
	return nil
}

// CheckField says whether text fits one of CK_TOKEN_INFO's fields, which are
// padded with spaces.
func CheckField(text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%q has %d bytes, a token holds %d", text, len(text), most)
	}
	if strings.HasSuffix(text, " ") {
		return fmt.Errorf("%q ends with a space, which a token would lose", text)
	}
	return CheckText(text)
}
