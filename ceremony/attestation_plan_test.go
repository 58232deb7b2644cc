package ceremony_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// device is a plan's words for an HSM by what it attests.
func device(format, identity string) string {
	return fmt.Sprintf("    attestation: {format: %s, identity: %q}\n", format, identity)
}

// attestedPlan is a plan whose HSMs, of one serial, are named by what they attest.
func attestedPlan(t *testing.T, edit func(text string) string) (*ceremony.Plan, error) {
	t.Helper()
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 3})
	text := string(f.Plan.Raw())
	for i, h := range f.Plan.HSMs {
		serial := fmt.Sprintf("    serial: %q\n", h.Serial)
		if !strings.Contains(text, serial) {
			t.Fatalf("the plan has no %q", serial)
		}
		text = strings.Replace(text, serial, "    serial: \"0000000000000000\"\n"+device("tpm2-certify", fmt.Sprintf("id-%d", i+1)), 1)
	}
	return ceremony.ParsePlan("plan.yaml", []byte(edit(text)))
}

func TestHSMsOfOneSerialAreToldApartByWhatTheyAttest(t *testing.T) {
	p, err := attestedPlan(t, func(s string) string { return s })
	if err != nil {
		t.Fatal(err)
	}
	if d := p.HSM("hsm-2").Attestation; d == nil || *d != (ceremony.Device{Format: "tpm2-certify", Identity: "id-2"}) || !p.Attested() {
		t.Errorf("hsm-2 is named by %+v", d)
	}
}

func TestAPlanThatNamesDevicesWronglyIsRefused(t *testing.T) {
	for want, edit := range map[string]func(string) string{
		`hsm "hsm-2" has the attestation identity of line`: func(s string) string { return strings.Replace(s, `"id-2"`, `"id-1"`, 1) },
		`hsm "hsm-1" is named by its attestation, and hsm "hsm-3" is not`: func(s string) string {
			return strings.Replace(s, device("tpm2-certify", "id-3"), "", 1)
		},
		`hsm "hsm-3" has the serial of line`:                         func(s string) string { return strings.Replace(s, device("tpm2-certify", "id-3"), "", 1) },
		`countersigner "operator-1" has the attestation identity of`: func(s string) string { return countersigned(s, "id-3") },
		`hsm "hsm-1" has an attestation identity that`:               func(s string) string { return strings.Replace(s, `"id-1"`, `"id\u202e1"`, 1) },
		"identity":                 func(s string) string { return strings.Replace(s, `"id-1"`, `""`, 1) },
		"format":                   func(s string) string { return strings.Replace(s, "format: tpm2-certify", "format: \"tpm 2\"", 1) },
		"models lists nothing":     func(s string) string { return strings.Replace(s, "\nmajority:", "\nmodels: []\nmajority:", 1) },
		`model "A" is there twice`: func(s string) string { return strings.Replace(s, "\nmajority:", "\nmodels: [A, B, A]\nmajority:", 1) },
		"model 2 has the character U+202E": func(s string) string {
			return strings.Replace(s, "\nmajority:", "\nmodels: [A, \"B\\u202e\"]\nmajority:", 1)
		},
	} {
		if p, err := attestedPlan(t, edit); p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func countersigned(text, identity string) string {
	return strings.Replace(text, "  form: bound\n", "  form: bound\n  attestation: {format: tpm2-certify, identity: \""+identity+"\"}\n", 1)
}

// Every key is attested once all are made, so that a vendor's tool is used once,
// and before the fleet check, which the signed artifact commits to.
func TestDevicesAttestAfterAllKeysAndBeforeTheFleetCheck(t *testing.T) {
	p, err := attestedPlan(t, func(s string) string { return countersigned(s, "operator") })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Steps() {
		got = append(got, s.String())
	}
	want := []string{"generate hsm-3 session", "attest hsm-1 session", "attest hsm-2 session", "attest hsm-3 session", "attest countersigner", "fleet check"}
	if i := slices.Index(got, want[0]); i < 0 || !slices.Equal(got[i:i+len(want)], want) {
		t.Errorf("the steps are %q", got)
	}
	if p, err = attestedPlan(t, func(s string) string {
		for i := range 3 {
			s = strings.Replace(s, device("tpm2-certify", fmt.Sprintf("id-%d", i+1)), "", 1)
			s = strings.Replace(s, "serial: \"0000000000000000\"", fmt.Sprintf("serial: \"000000000000000%d-\"", i+1), 1)
		}
		return s
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps() {
		if s.Act == ceremony.ActAttest {
			t.Errorf("a plan that names no device has the step %s", s.String())
		}
	}
}

// A plan of which nothing was read names no device.
func TestAPlanWithoutHSMsNamesNoDevice(t *testing.T) {
	if p := (&ceremony.Plan{}); p.Attested() {
		t.Error("it names its HSMs by what they attest")
	}
}
