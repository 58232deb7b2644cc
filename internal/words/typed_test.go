package words

import "testing"

func TestWordsAreTakenAsPeopleTypeThem(t *testing.T) {
	const want = "agree-with-exceptions"
	for _, typed := range []string{
		want, "Agree with exceptions", `"agree-with-exceptions"`, "agree, with exceptions.", "AGREE WITH EXCEPTION", "  agree  with exceptions ",
	} {
		if !Same(typed, want) {
			t.Errorf("%q is not taken for %q", typed, want)
		}
	}
	for _, typed := range []string{"", "agree", "agree with", "agree with exceptions 2", "do not agree", "agreewithexceptions", "exceptions with agree"} {
		if Same(typed, want) {
			t.Errorf("%q is taken for %q", typed, want)
		}
	}
	if Same("", "") != true || Same("y", "yes") || Same("no", "now") {
		t.Error("something else is taken for what was to be typed")
	}
}

// A word with or without its s must never be another word of its list: a
// challenge would then be answered by a word that was not read aloud.
func TestAPluralIsNeverAnotherWord(t *testing.T) {
	for name, list := range map[string][]string{"even": even(), "odd": odd()} {
		for i, x := range list {
			for j, y := range list {
				if (i == j) != Heard(x, y) {
					t.Errorf("%s: %q is heard for %q: %v", name, x, y, Heard(x, y))
				}
			}
		}
	}
	if !Heard("drumbeats", "drumbeat") || !Heard("PEGASU", "Pegasus") || Heard("drum", "drumbeat") {
		t.Error("a plural isn't heard, or a part is")
	}
}
