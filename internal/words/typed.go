package words

import (
	"slices"
	"strings"
	"unicode"
)

// Typed gives the words of a line as people type them from a screen or after
// somebody's voice: with commas between, in quotes, with a full stop at the end.
func Typed(line string) []string {
	fields := strings.FieldsFunc(line, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;", r) })
	var list []string
	for _, f := range fields {
		if f = strings.Trim(f, ".:!?\"'`“”‘’„"); f != "" {
			list = append(list, f)
		}
	}
	return list
}

// Same says whether somebody who was to type want has typed it. Case, commas,
// quotes and hyphens don't count, and neither does a plural's s.
func Same(typed, want string) bool {
	parts := func(s string) []string { return Typed(strings.ReplaceAll(s, "-", " ")) }
	return slices.EqualFunc(parts(typed), parts(want), Heard)
}

// Heard says whether a word that was typed is the one that was read aloud: in
// whatever case, and with or without a plural's s. No two words of a list differ
// by no more than that.
func Heard(typed, word string) bool {
	one := func(s string) string { return strings.TrimSuffix(strings.ToLower(s), "s") }
	return one(typed) == one(word)
}
