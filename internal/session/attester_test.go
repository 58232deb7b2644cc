package session

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/ui"
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

// What a vendor's tool on another machine is to be asked can be read by its camera.
func TestTheNonceOnTheScreenIsThereForACamera(t *testing.T) {
	q := engine.AttestQuestion{HSM: "hsm-1", Role: "session", Format: "pkix-evidence", SPKI: []byte{1}, Nonce: [32]byte{7}}
	var said bytes.Buffer
	if _, err := typed(t, &said, "nowhere.json", "stop").Attestation(t.Context(), q, nil); err == nil {
		t.Fatal("stop doesn't stop")
	}
	nonce := fmt.Sprintf("%x", q.Nonce)
	modules, err := qr.Modules(nonce)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ui.New(ui.Options{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), out.Talk.Code(modules, nonce)) {
		t.Errorf("no code of the nonce on the screen:\n%s", said.String())
	}
	// A tool that takes no nonce is told none.
	said.Reset()
	q.Format = "luna-pkc"
	if _, err := typed(t, &said, "stop").Attestation(t.Context(), q, nil); err == nil || strings.Contains(said.String(), "for a camera") {
		t.Errorf("%v\n%s", err, said.String())
	}
}
