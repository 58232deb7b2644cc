package strict

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Hidden lists the ranges, from and to, of characters that no text may have:
// those that can't be seen, that look like a space but aren't the space, or that
// move the text beside them. The list is fixed and doesn't grow with Unicode,
// because verifiers of different years must agree.
var Hidden = [][2]rune{
	{0x0000, 0x001f}, {0x007f, 0x00a0}, {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x061c, 0x061c}, {0x115f, 0x1160},
	{0x1680, 0x1680}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
	{0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xe000, 0xf8ff}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
	{0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
}

// CheckText says whether s is one line that reads the same to everybody: 1 to most
// bytes of UTF-8, not blank, without hidden characters.
func CheckText(s string, most int) error {
	if strings.Trim(s, " ") == "" {
		return fmt.Errorf("is blank")
	}
	if len(s) > most {
		return fmt.Errorf("has %d bytes, %d are allowed", len(s), most)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("is not UTF-8")
	}
	for _, c := range s {
		for _, h := range Hidden {
			if c >= h[0] && c <= h[1] {
				return fmt.Errorf("has the character %U, which can't be seen or moves others", c)
			}
		}
	}
	return nil
}
