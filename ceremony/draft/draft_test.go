package draft

import (
	"strings"
	"testing"
)

func TestEachNamedPartOfThePlanIsFilled(t *testing.T) {
	for name, p := range map[string]*Plan{"an empty draft": {}, "one that names a part": {Fleet: "{{namespace}}", Namespace: "acme"}} {
		text, err := p.Write()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Count(string(text), "{{"), strings.Count(p.Fleet, "{{"); got != want {
			t.Errorf("%s: %d parts are not filled:\n%s", name, got-want, text)
		}
		if !strings.Contains(string(text), "\nfleet: "+p.Fleet+"\n") {
			t.Errorf("%s: the fleet's name is changed:\n%s", name, text)
		}
	}
}
