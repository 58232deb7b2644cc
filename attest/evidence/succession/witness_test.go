package succession

import (
	"slices"
	"strings"
	"testing"
)

const (
	vkeyOne = "w1+0904a733+BP2sgHwWxCc9tcy38jnPfAGmsgpGQ3zm+niFOkZeeo2N"
	vkeyTwo = "w2+7afc1ba1+BPtncE+G+j8EHmOGjQbdhKWvCDOcfJUyl2B3eHgZ/L4o"
)

// watched is the world's policy with two witnesses, of whom one has to cosign, and with
// more members beside log_confirmed and of the operator.
func (w *world) watched(t *testing.T, one, two, more, operator string) []byte {
	t.Helper()
	text := string(w.with(t, "quorum none\n", "witness "+one+" "+vkeyOne+"\n  witness "+two+" "+vkeyTwo+"\n  group g 1 "+one+" "+two+"\n  quorum g\n"))
	text = strings.Replace(text, "\nlog_confirmed:", "\n"+more+"log_confirmed:", 1)
	return []byte(strings.Replace(text, "    form: bound\n", "    form: bound\n"+operator, 1))
}

// A witness of the operator's organisation counts for no quorum. Who takes that
// organisation away lets its witness count: that is no stricter policy.
func TestAWitnessThatBeginsToCountIsALooserChange(t *testing.T) {
	w := newWorld(t)
	orgs := "witness_orgs:\n  - {name: w1, org: acme}\n"
	own, other := w.watched(t, "w1", "w2", orgs, "    org: acme\n"), w.watched(t, "w1", "w2", orgs, "    org: another\n")
	for _, c := range []struct {
		a, b   []byte
		effect string
	}{{own, other, Looser}, {other, own, Stricter}} {
		changes, err := Diff("old", c.a, "new", c.b)
		if err != nil || !slices.ContainsFunc(changes, func(x Change) bool { return x.Path == "log_policy[witness w1]" && x.Effect == c.effect }) {
			t.Errorf("%s: %+v, %v", c.effect, changes, err)
		}
	}
}

// Words of a log policy have spaces or tabs between them. A name may have a space of
// another kind in it, and another name is another witness.
func TestASpaceOfAnotherKindIsADifferenceInALogPolicy(t *testing.T) {
	w := newWorld(t)
	changes, err := Diff("old", w.watched(t, "a\u2003b", "w2", "", ""), "new", w.watched(t, "a\u2005b", "w2", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) == 0 || !strings.HasPrefix(changes[0].Path, "log_policy") {
		t.Errorf("%+v", changes)
	}
}
