package ceremony_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
)

// The signatures of people are counted before any is looked at.
func TestPeoplesSignaturesAreCountedBeforeTheyAreVerified(t *testing.T) {
	files := map[string][]byte{}
	for i := range 4096 {
		files[fmt.Sprintf("approvals/%d.sig", i)] = []byte("no signature")
	}
	if err := ceremony.CheckSignings(files); err != nil {
		t.Error(err)
	}
	files["plan-approvals/one-more.sig"] = nil
	wantError(t, ceremony.CheckSignings(files), "count 4097, and 4096 are allowed")
}

func TestATranscriptHasALimit(t *testing.T) {
	f := base(t)
	long := append(bytes.Clone(f.Transcript()), make([]byte, 16<<20)...)
	_, _, err := ceremony.Replay(f.Plan, "transcript.jsonl", long)
	wantError(t, err, "16777216 are allowed")
}

func TestWhatCanBeRepeatedHasALimit(t *testing.T) {
	f := base(t)
	x := newForger(t, f)
	n := x.at(ceremony.KindChallenge, -2)
	for i := 1025; i > 0; i-- {
		x.insert(n, &ceremony.Exception{Number: i, Expected: "a", Happened: "b", Decided: "c"})
	}
	_, err := x.replay()
	wantError(t, err, "at most 1024 exceptions")
}

// A plan of a thousand HSMs with as many roles would have a million keys.
func TestAPlanOfTooManyKeysIsRefusedBeforeTheyAreCounted(t *testing.T) {
	f := base(t)
	var hsms, roles strings.Builder
	for i := range 600 {
		fmt.Fprintf(&hsms, "  - name: h%d\n    site: s\n    serial: \"n%d\"\n", i, i)
		fmt.Fprintf(&roles, "  - name: r%d\n    algorithm: ed25519\n", i)
	}
	text := string(f.Plan.Raw())
	text = replaceList(t, text, "hsms:", hsms.String())
	text = replaceList(t, text, "roles:", roles.String())
	_, err := ceremony.ParsePlan("plan.yaml", []byte(text))
	wantError(t, err, "the plan has 360000 keys, and a validation bundle holds at most 512")
}

// replaceList puts another list below a field.
func replaceList(t *testing.T, text, field, list string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "\n"+field+"\n")
	if !ok {
		t.Fatalf("the plan has no %s", field)
	}
	for strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "\n") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	return before + "\n" + field + "\n" + list + rest
}
