package ui

import (
	"strings"
	"testing"
)

func TestALineOfATextThatIsTooLongGoesOnFurtherIn(t *testing.T) {
	p := Page{width: 80}
	key, sig := strings.Repeat("k", 44), strings.Repeat("s", 88)
	got := p.Verbatim("fleetctl countersignature v1\n\nsigner " + key + " " + sig + "\n" + strings.Repeat("x", 73) + "\n")
	want := "      fleetctl countersignature v1\n      \n      signer " + key + "\n        " + sig[:71] + "\n        " + sig[71:] + "\n      " + strings.Repeat("x", 73) + "\n"
	if got != want {
		t.Errorf("%q\n%q", got, want)
	}
	for line := range strings.Lines(got) {
		if width(strings.TrimSuffix(line, "\n")) > p.width {
			t.Errorf("%q", line)
		}
	}
}
