package succession_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence/succession"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// Who requires both signatures of nobody any more lets more pass; an additional key's
// window is ended as every key's.
func TestRequiringBothSignaturesIsStricterAndAnAdditionalKeyCanBeEnded(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid diff", HSMs: 1, PostQuantum: keys.MLDSA44, Others: 1, To: -1})
	hybrid := string(f.Policy)
	from := strings.Index(hybrid, "additional_keys:")
	second := strings.Index(hybrid[from:], "  - name: auditor-2.example")
	end := strings.Index(hybrid[from:], "\nlog_policy")
	if second < 0 || end < second {
		t.Fatalf("%s", hybrid)
	}
	looser := hybrid[:from+second-1] + hybrid[from+end:]
	looser = strings.Replace(looser, "require_all: [auditor.example, auditor-2.example, operator-1]", "require_all: [auditor.example, operator-1]", 1)
	list, err := succession.Diff("a", f.Policy, "b", []byte(looser))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range list {
		found[c.Path] = c.Effect
	}
	if found["require_all[auditor-2.example]"] != succession.Looser {
		t.Errorf("%v", list)
	}
	back, err := succession.Diff("b", []byte(looser), "a", f.Policy)
	if err != nil || len(back) == 0 || back[0].Path != "require_all[auditor-2.example]" || back[0].Effect != succession.Stricter {
		t.Errorf("%v, %v", back, err)
	}
	out, err := succession.Revoke("policy.yaml", f.Policy, "additional key auditor.example", succession.NotAfter, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || !strings.Contains(string(out), "window: {not_after: 2027-01-01T00:00:00Z}") {
		t.Errorf("%v", err)
	}
}
