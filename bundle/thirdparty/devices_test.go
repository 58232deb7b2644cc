package thirdparty_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// blockOf is the attestation: of a policy.
func blockOf(f *testfleet.Fleet) string {
	_, rest, ok := strings.Cut(string(f.Policy), "\nattestation:")
	if !ok {
		panic("the policy has no attestation:")
	}
	rest, _, _ = strings.Cut(rest, "\n\n")
	return "attestation:" + rest + "\n"
}

// inspected is what the third party finds, under its policy with more in it.
func inspected(t *testing.T, f *testfleet.Fleet, more string) (*thirdparty.Inspection, error) {
	t.Helper()
	p, err := thirdparty.ParsePolicy("policy", append(f.ThirdPartyPolicy(), more...))
	if err != nil {
		t.Fatal(err)
	}
	l := must(f.OpenLedger())
	defer l.Close()
	return thirdparty.Inspect("request.json", f.Request, p, l)
}

// The operator's people recorded that every device is well. The third party judges
// the raw evidence under its own anchors before it signs, whether it demands that or not.
func TestAThirdPartyJudgesTheRawEvidenceItself(t *testing.T) {
	good := asked(t, testfleet.Options{Name: "good devices", Attested: true})
	in, err := inspected(t, good, blockOf(good))
	if err != nil || len(in.Devices.Keys) != 3 || in.Devices.Countersigner == nil || in.Devices.Keys[0].Claims.Level != attest.Fresh {
		t.Fatalf("%+v %v", in, err)
	}
	if _, err := inspected(t, good, ""); err != nil {
		t.Errorf("a policy that demands nothing: %v", err)
	}
	for _, x := range []struct{ old, new, want string }{
		{"      confirmed: \"by the test\"\n", "", "its devices' evidence doesn't show what the policy requires: hsm-1 session: anchor: nobody confirmed"},
		{"  least: fresh\n", "  least: fresh\n  vendors: [STM]\n", `hsm-1 session: vendor: "IBM"`},
		{"formats: [tpm2-certify]", "formats: [luna-pkc]", "level: vendor-signed, and fresh is demanded"},
	} {
		_, err := inspected(t, good, strings.ReplaceAll(blockOf(good), x.old, x.new))
		wantError(t, err, x.want)
	}
	exportable := func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		loose := tpmtest.KeyAttrs
		loose.FixedTPM, loose.FixedParent = false, false
		return x.Devices[q.HSM].Attested(must(x509.ParsePKIXPublicKey(q.SPKI)), loose, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = q.Nonce[:] }).Input.Evidence
	}
	for name, x := range map[string]struct {
		spoil func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence
		want  string
		free  bool // refused by whoever demands nothing, too
	}{
		"stale": {func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
			q.Nonce[0] ^= 1
			return x.Evidence(q)
		}, "stale: the evidence answers the nonce", true},
		"another device": {func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
			q.HSM = "hsm-3"
			return x.Evidence(q)
		}, "another device", true},
		"another key": {func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
			q.SPKI = testfleet.SoftSigner("ecdsa-p256", "another").Public.SPKI()
			return x.Evidence(q)
		}, "another key", true},
		"exportable":                  {exportable, "hsm-2 session: extractable: true, and false is demanded", false},
		"exportable of countersigner": {exportable, "the evidence of the countersigner's HSM doesn't show what the policy requires", false},
	} {
		f := asked(t, testfleet.Options{Name: "devices " + name, Attested: true, Devices: func(a *testfleet.Attester) {
			a.Credulous = true
			a.OnEvidence = func(q engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error) {
				if q.Countersigner == strings.HasSuffix(name, "of countersigner") && (q.Countersigner || q.HSM == "hsm-2") {
					return x.spoil(a, q), nil
				}
				return e, nil
			}
		}})
		_, err := inspected(t, f, blockOf(f))
		wantError(t, err, x.want)
		if _, err := inspected(t, f, ""); (err != nil) != x.free {
			t.Errorf("%s, where nothing is demanded: %v", name, err)
		}
	}
}

// Evidence that is missing, of another record or of none is refused, and so is a plan
// that names no device, where attestations are demanded.
func TestAThirdPartyRefusesARequestWithoutItsEvidence(t *testing.T) {
	f := asked(t, testfleet.Options{Name: "six of seven", HSMs: 7, Attested: true})
	whole := slices.Clone(f.Request.Files)
	i := slices.IndexFunc(whole, func(x bundle.File) bool { return strings.HasPrefix(x.Path, ceremony.AttestationsDir+"/") })
	swapped, extra := slices.Clone(whole), slices.Clone(whole)
	swapped[i].Data, swapped[i+1].Data = whole[i+1].Data, whole[i].Data
	extra = append(extra, bundle.File{Path: "attestations/99.json", Data: whole[i].Data})
	for want, files := range map[string][]bundle.File{
		"is missing: record":                      slices.Delete(slices.Clone(whole), i, i+1),
		"is not the evidence whose digest record": swapped,
		"is evidence that no record names":        extra,
	} {
		f.Request.Files = files
		for _, more := range []string{"", blockOf(f)} {
			_, err := inspected(t, f, more)
			wantError(t, err, want)
		}
	}
	soft := asked(t, testfleet.Options{Name: "no devices"})
	_, err := inspected(t, soft, blockOf(f))
	wantError(t, err, "its plan names no attestation of its HSMs, and the policy requires one of each")
}

// "No operator alone" rests on the operator's HSM: who requires its attestation refuses
// a plan that doesn't name it, and who doesn't, takes the plan.
func TestAThirdPartyThatRequiresTheCountersignersAttestationRefusesAPlanWithoutIt(t *testing.T) {
	f := asked(t, testfleet.Options{Name: "operator unnamed", Attested: true, Devices: func(x *testfleet.Attester) { delete(x.Devices, "") }})
	if f.Plan.Countersigner.Attestation != nil || !f.Plan.Attested() {
		t.Fatalf("the plan names %+v", f.Plan.Devices())
	}
	if in, err := inspected(t, f, blockOf(f)); err != nil || in.Devices.Countersigner != nil {
		t.Errorf("not required: %v", err)
	}
	_, err := inspected(t, f, strings.Replace(blockOf(f), "  least: fresh\n", "  least: fresh\n  countersigner: anchored\n", 1))
	wantError(t, err, "its plan names no attestation of the countersigner's HSM, and the policy requires one")
}
