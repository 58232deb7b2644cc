package entries_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// Whoever audits or monitors a log by a policy that requires both signatures is told of
// an entry that has one, by whose is missing; one that has both is no finding.
func TestAnEntryOfWhichAHybridSignatureIsMissingIsAFault(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "hybrid entries", HSMs: 1, PostQuantum: keys.MLDSA44})
	judge := entries.New(must(evidence.ParsePolicy("policy.yaml", f.Policy)), f.Now)
	b := must(f.Account.Bundle())
	if got := judge.Read(0, b.Raw()).Faults(); len(got) > 0 {
		t.Errorf("the whole bundle: %v", got)
	}
	half := func(statements []bundle.Signed, counter []bundle.Countersignature) []entries.Fault {
		return judge.Read(0, must(bundle.Assemble(b.Artifact(), statements, counter, b.Transcript)).Raw()).Faults()
	}
	stripped := append([]bundle.Signed{}, b.Statements...)
	stripped[0].Addition = nil
	for name, c := range map[string]struct {
		got  []entries.Fault
		want string
	}{
		"no post-quantum countersignature": {half(b.Statements, b.Countersignatures[:1]), "operator-1 gave its classical countersignature, and no post-quantum one that counts"},
		"no classical countersignature":    {half(b.Statements, b.Countersignatures[1:]), "operator-1 gave its post-quantum countersignature, and no classical one that counts"},
		"no addition":                      {half(stripped, b.Countersignatures), "by operator operator-1: the signature does not verify"},
	} {
		if len(c.got) != 1 || c.got[0].Kind != entries.FaultSignatures || !strings.Contains(c.got[0].Text, c.want) {
			t.Errorf("%s: %v", name, c.got)
		}
	}
}
