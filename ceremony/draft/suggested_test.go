package draft_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What a new plan's comments suggest for keys that agree and for devices that attest
// is taken as it stands there.
func TestWhatAPlansCommentsSuggestIsTaken(t *testing.T) {
	text := string(testfleet.Prepared(t, testfleet.Options{HSMs: 1}).Plan.Raw())
	suggested := func(first string, lines int) string {
		_, rest, ok := strings.Cut(text, "\n"+first)
		if !ok {
			t.Fatalf("no %q among the comments:\n%s", first, text)
		}
		list := strings.SplitAfterN(first+rest, "\n", lines+1)[:lines]
		for i, line := range list {
			list[i] = strings.TrimPrefix(line, "# ")
		}
		return strings.Join(list, "")
	}
	hsm := strings.Replace(suggested("#     attestation: {format", 1), "…", "id-1", 1) + suggested("#     agreement: ", 1)
	for at, more := range map[string]string{"    site: lab\n": hsm, "\nroles:\n": suggested("#   - name: sealing\n", 3)} {
		if strings.Count(text, at) != 1 {
			t.Fatalf("the plan has %q other than once", at)
		}
		text = strings.Replace(text, at, at+more, 1)
	}
	p, err := ceremony.ParsePlan("plan.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if h := p.HSMs[0]; len(p.RolesOf(keys.Agree)) != 1 || h.Agreement != ceremony.AgreementTPM || h.Attestation == nil || h.Attestation.Format != "tpm2-certify" {
		t.Errorf("%+v, %d roles agree", h, len(p.RolesOf(keys.Agree)))
	}
}
