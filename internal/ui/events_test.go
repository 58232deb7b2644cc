package ui

import (
	"strings"
	"testing"
)

// TestEventsSayInWordsWhatTheirColourRepeats, fold what is long, and name a day once.
func TestEventsSayInWordsWhatTheirColourRepeats(t *testing.T) {
	list := []Event{
		{At: "2026-11-21 10:02", Name: "wrong PIN", Text: "hsm-2, PIN by file: CKR_PIN_INCORRECT", Style: Wrong},
		{At: "2026-11-21 10:09", Name: "exception 1", Text: "the seal is on the right; expected: on the left; decided: another model\x1b[31m", Style: Device},
		{At: "2026-11-22 09:00", Name: "resumed", Text: "as planned"},
		{Name: "verdict against it", Text: "by ada", Style: Wrong},
	}
	want := "  2026-11-21\n" +
		"  10:02  wrong PIN            hsm-2, PIN by file: CKR_PIN_INCORRECT\n" +
		"  10:09  exception 1          the seal is on the right; expected: on the left;\n" +
		"                              decided: another model\\x1b[31m\n" +
		"  2026-11-22\n" +
		"  09:00  resumed              as planned\n" +
		"         verdict against it   by ada\n"
	if got := (Page{width: 80}).Events(list); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	colored := (Page{width: 80, color: true}).Events(list)
	for _, name := range []string{"wrong PIN", "exception 1"} {
		if !strings.Contains(colored, "m"+name+"\x1b[") {
			t.Errorf("%s has no colour of its own:\n%q", name, colored)
		}
	}
}
