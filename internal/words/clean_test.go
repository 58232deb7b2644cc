package words

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "",
		"plan.yaml: ok ~":                       "plan.yaml: ok ~",
		"Zoë, 東京, Ελλάς, 8c1f…":                 "Zoë, 東京, Ελλάς, 8c1f…",
		"שלום":                                  "שלום",
		"a\nb\tc\rd":                            `a\nb\tc\rd`,
		"\x1b]0;owned\x07":                      `\x1b]0;owned\x07`,
		"\u009b31m":                             `\u009b31m`,
		"\x9b31m":                               `\x9b31m`,
		"\xff\xc3(":                             `\xff\xc3(`,
		"good\u202edab":                         `good\u202edab`,
		"\u2066x\u2069":                         `\u2066x\u2069`,
		"pay\u200bpal\ufeff":                    `pay\u200bpal\ufeff`,
		"a\u00a0b\u00ad":                        `a\u00a0b\u00ad`,
		"\u2028\u2029\u0085":                    `\u2028\u2029\u0085`,
		"\u3164\u115f\u2800":                    `\u3164\u115f\u2800`,
		"x\ufe0f\U000e0100":                     `x\ufe0f\U000e0100`,
		"\U000e0041":                            `\U000e0041`,
		"\u0301e\u0301":                         `\u0301e` + "\u0301",
		"e\u0301\u0302\u0303\u0304\u0305\u0306": "e\u0301\u0302\u0303\u0304" + `\u0305\u0306`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, not %q", in, got, want)
		}
	}
}

// harmless is what may reach a terminal.
func harmless(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return unicode.Is(unicode.C, r) || unicode.Is(unicode.Bidi_Control, r) || (unicode.IsSpace(r) && r != ' ')
	}) < 0
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31mred", "\u202eevil", "\xff", "e\u0301\u0301\u0301\u0301\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !harmless(got) {
			t.Errorf("%q", got)
		}
		if Clean(got) != got {
			t.Errorf("%q isn't clean the second time", got)
		}
	})
}
