package session

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A ceremony that would come to its attestation and no further isn't begun.
func TestAPlanWhoseDevicesHaveNoEvidenceOfItsKeysIsRefused(t *testing.T) {
	good := string(testfleet.Prepared(t, testfleet.Options{Attested: true}).Plan.Raw())
	for want, edit := range map[string][2]string{
		"": {"tpm2-certify", "tpm2-certify"},
		`hsm-1 is named by the attestation format "abacus", which isn't known`:                        {"tpm2-certify", "abacus"},
		"hsm-1 is to attest its session key by tpm2-certify, and it is of ed25519: TPMs have no such": {"session\n    algorithm: ecdsa-p256", "session\n    algorithm: ed25519"},
	} {
		text := strings.ReplaceAll(good, edit[0], edit[1])
		if want != "" && text == good {
			t.Fatalf("the plan has no %q", edit[0])
		}
		p, err := ceremony.ParsePlan("plan.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := KnowsFormats(p); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
