package strict

import (
	"strings"
	"testing"
	"unicode"
)

func TestATextIsOneVisibleLine(t *testing.T) {
	for _, s := range []string{"x", "the seal of bag 4471 was broken", "Ångström, 茶, Ω", "a \ufffd b", strings.Repeat("y", 20)} {
		if err := CheckText(s, 40); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"": "is blank", "   ": "is blank", strings.Repeat("y", 41): "has 41 bytes, 40 are allowed", "a\nb": "U+000A", "a\tb": "U+0009",
		"a\u202eb": "U+202E", "a\u200bb": "U+200B", "a\u00a0b": "U+00A0", "\ufeffa": "U+FEFF", "a\U000e0041": "U+E0041", "a\xffb": "is not UTF-8",
	} {
		if err := CheckText(s, 40); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", s, err, want)
		}
	}
	// Whatever Unicode calls a control or a format character today is on the list,
	// but for signs that are seen.
	for c := rune(0); c <= unicode.MaxRune; c++ {
		if !unicode.In(c, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp, unicode.Zs, unicode.Variation_Selector) || c == ' ' {
			continue
		}
		if CheckText("a"+string(c), 40) == nil {
			t.Errorf("%U passes", c)
		}
	}
}

func FuzzCheckText(f *testing.F) {
	f.Add("a\u202eb", 10)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if CheckText(s, most) == nil && (len(s) > most || strings.ContainsAny(s, "\n\r\x00\u202e")) {
			t.Errorf("%q passes", s)
		}
	})
}
