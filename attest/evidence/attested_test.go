package evidence_test

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// attested is a fleet whose devices attest. Its people believe whatever evidence
// they get, record that all is well, and its third party signs without a look:
// what spoil makes of a device's evidence nobody stops but the verifier.
func attested(t testing.TB, name string, spoil func(x *testfleet.Attester, q engine.AttestQuestion, e *attest.Evidence) *attest.Evidence) *testfleet.Fleet {
	t.Helper()
	return testfleet.New(t, testfleet.Options{Name: name, HSMs: 3, Attested: true, Unwary: spoil != nil, Devices: func(x *testfleet.Attester) {
		if spoil == nil {
			return
		}
		x.Credulous = true
		x.OnEvidence = func(q engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error) {
			return spoil(x, q, e), nil
		}
	}})
}

// ofSecond changes what the second HSM gives.
func ofSecond(change func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence) func(*testfleet.Attester, engine.AttestQuestion, *attest.Evidence) *attest.Evidence {
	return func(x *testfleet.Attester, q engine.AttestQuestion, e *attest.Evidence) *attest.Evidence {
		if q.HSM != "hsm-2" {
			return e
		}
		return change(x, q)
	}
}

// says is evidence of a device about a key, validly signed, with another statement
// or other attributes of the key.
func saying(x *testfleet.Attester, hsm string, q engine.AttestQuestion, attrs tpm2.TPMAObject, alter func(*tpm2.TPMSAttest)) *attest.Evidence {
	return x.Devices[hsm].Attested(must(x509.ParsePKIXPublicKey(q.SPKI)), attrs, func(a *tpm2.TPMSAttest) {
		a.ExtraData.Buffer = q.Nonce[:]
		if alter != nil {
			alter(a)
		}
	}).Input.Evidence
}

// spoiltEvidence is what an attacker gives in a device's place, each validly signed by a
// pinned device, and what refuses it.
var spoiltEvidence = []struct {
	name, kind, want string
	spoil            func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence
}{
	{"attested-before-the-ceremony", "evidence of an HSM that answers a nonce of the day before; the people recorded that it is fresh", "of hsm-2 session: tpm2-certify: stale: the evidence answers the nonce", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		return saying(x, "hsm-2", q, tpmtest.KeyAttrs, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = []byte("a nonce that was asked yesterday!") })
	}},
	{"attested-by-another-device", "evidence by another HSM of the fleet, which says that it holds this key", "of hsm-2 session: tpm2-certify: another device: the evidence is of", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		return saying(x, "hsm-3", q, tpmtest.KeyAttrs, nil)
	}},
	{"attested-of-another-key", "evidence of the right HSM about another key of its own", "of hsm-2 session: tpm2-certify: another key", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		q.SPKI = testfleet.SoftSigner("ecdsa-p256", "another key").Public.SPKI()
		return saying(x, "hsm-2", q, tpmtest.KeyAttrs, nil)
	}},
	{"attested-as-exportable", "evidence that the key may be duplicated into another device", "key.attested: hsm-2 session: extractable: true, and false is demanded", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		loose := tpmtest.KeyAttrs
		loose.FixedTPM, loose.FixedParent = false, false
		return saying(x, "hsm-2", q, loose, nil)
	}},
	{"attested-as-imported", "evidence that the key was not made inside", "key.attested: hsm-2 session: never-extractable: false, and true is demanded; local: false", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		imported := tpmtest.KeyAttrs
		imported.SensitiveDataOrigin = false
		return saying(x, "hsm-2", q, imported, nil)
	}},
	{"attested-without-a-nonce", "evidence that answers no nonce, and may be of any day", "key.attested: hsm-2 session: level: anchored, and fresh is demanded: it answers no nonce that was asked", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		return saying(x, "hsm-2", q, tpmtest.KeyAttrs, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = nil })
	}},
	{"attested-by-a-look-alike", "evidence of a device of the same names and identity, whose root nobody pins", "key.attested: hsm-2 session: level: vendor-signed, and fresh is demanded", func(x *testfleet.Attester, q engine.AttestQuestion) *attest.Evidence {
		double := tpmtest.Named(x.Devices["hsm-2"].T, "a look-alike")
		double.ID = x.Devices["hsm-2"].ID
		double.Enrol(double.AK, tpmtest.AKAttrs)
		x = &testfleet.Attester{Devices: map[string]*tpmtest.Device{"hsm-2": double}}
		return saying(x, "hsm-2", q, tpmtest.KeyAttrs, nil)
	}},
}

func init() {
	vectors = append(vectors, vector{"attested", "nothing: a fleet of which each HSM, and the countersigner's, attests its key; their certificates have ended since", "", "", func(t *testing.T) made {
		m := plainly(t, attested(t, "vector attested", nil), nil)
		m.now = m.now.AddDate(2, 0, 0)
		return m
	}})
	for _, x := range spoiltEvidence {
		vectors = append(vectors, vector{x.name, x.kind, x.want, "", func(t *testing.T) made {
			return plainly(t, attested(t, "vector "+x.name, ofSecond(x.spoil)), nil)
		}})
	}
	vectors = append(vectors, vector{"attestation-left-out", "the evidence of one HSM of three is left out, and of the close's list too", "is missing: record", "", func(t *testing.T) made {
		f := attested(t, "vector left-out", nil)
		x := maps.Clone(f.Files)
		delete(x, f.Account.AttestationSteps()[1].File)
		return made{archive: must(sealed(closedAgain(f, x))), policy: f.Policy, now: f.Now()}
	}}, vector{"attestations-swapped", "the evidence of two HSMs, each lying as the other's", "is not the evidence whose digest record", "", func(t *testing.T) made {
		f := attested(t, "vector swapped", nil)
		x := maps.Clone(f.Files)
		a, b := f.Account.AttestationSteps()[0].File, f.Account.AttestationSteps()[1].File
		x[a], x[b] = x[b], x[a]
		return made{archive: must(sealed(closedAgain(f, x, a, b))), policy: f.Policy, now: f.Now()}
	}}, vector{"attestation-of-nothing", "evidence of which no record tells, beside the others", "is evidence that no record names", "", func(t *testing.T) made {
		f := attested(t, "vector of-nothing", nil)
		x := maps.Clone(f.Files)
		x["attestations/9.json"] = x[f.Account.AttestationSteps()[0].File]
		return made{archive: must(sealed(closedAgain(f, x, "attestations/9.json"))), policy: f.Policy, now: f.Now()}
	}})
}

// under judges a fleet's package under its policy with edits.
func under(t *testing.T, f *testfleet.Fleet, now time.Time, edits ...string) *evidence.Report {
	t.Helper()
	text := string(f.Policy)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the policy has no %q:\n%s", edits[i], text)
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	p := must(evidence.ParsePolicy("policy.yaml", []byte(text)))
	return must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, p, evidence.Question{Now: now}))
}

// Every key of the fleet and the countersigner's is shown to be attested, under this
// verifier's anchors, and the report says what of it ended since.
func TestAttestedFleetsAreVerifiedUnderTheVerifiersOwnAnchors(t *testing.T) {
	f := attested(t, "attested", nil)
	r := under(t, f, f.Now())
	key, operators := r.Claim(evidence.ClaimKeyAttested), r.Claim(evidence.ClaimCountersignerAttested)
	if !r.Verified || key.Grade != evidence.Attested || key.Detail != "3 keys: fresh; vendor IBM; model swtpm; firmware 1.2.3.4; under AK root" ||
		operators.Grade != evidence.Attested || !strings.HasPrefix(operators.Detail, "the countersigner's key: fresh; vendor IBM") {
		t.Errorf("%v %+v %+v\n%s", r.Verified, key, operators, says(r))
	}
	if c := r.Claim(evidence.ClaimFleetChecked); !strings.Contains(c.Detail, "each known by its attestation") {
		t.Errorf("%+v", c)
	}
	ended := f.Attester.Devices["hsm-1"].Cert.NotAfter
	r = under(t, f, ended.AddDate(1, 0, 0))
	if c := r.Claim(evidence.ClaimKeyAttested); !r.Verified || !strings.HasSuffix(c.Detail, "; valid when it was made, and ended since: hsm-1 session on "+strict.FormatTime(ended)) {
		t.Errorf("%v %+v", r.Verified, c)
	}
	for _, x := range []struct {
		claim, want string
		grade       evidence.Grade
		edits       []string
	}{
		{evidence.ClaimKeyAttested, `hsm-1 session: vendor: "IBM", and one of ["STM"] is demanded`, evidence.NotShown, []string{"  least: fresh\n", "  least: fresh\n  vendors: [STM]\n"}},
		{evidence.ClaimKeyAttested, "swversion: 1.2.3.4, and at least 2 is demanded", evidence.NotShown, []string{"  least: fresh\n", "  least: fresh\n  firmware: [{least: \"2\"}]\n"}},
		{evidence.ClaimKeyAttested, "fipsboot: not shown", evidence.NotShown, []string{"  least: fresh\n", "  least: fresh\n  fips_boot: true\n"}},
		{evidence.ClaimKeyAttested, "level: vendor-signed, and fresh is demanded", evidence.NotShown, []string{"formats: [tpm2-certify]", "formats: [luna-pkc]"}},
		{evidence.ClaimKeyAttested, "3 keys: vendor-signed; vendor IBM", evidence.Device, []string{"formats: [tpm2-certify]", "formats: [luna-pkc]", "  least: fresh\n", "  least: vendor-signed\n"}},
		{evidence.ClaimFleetChecked, "the HSMs stand at 1 sites, and at least 2 are demanded", evidence.NotShown, []string{"\nclaims:", "\nsites: {least: 2}\nclaims:"}},
		{evidence.ClaimFleetChecked, "the site lab has 3 of the 3 HSMs, and 2 are a majority", evidence.NotShown, []string{"\nclaims:", "\nsites: {no_site_majority: true}\nclaims:"}},
		{evidence.ClaimFleetChecked, "the vendor IBM has 3 of the 3 HSMs, and 2 are a majority", evidence.NotShown, []string{"\nclaims:", "\nsites: {no_vendor_majority: true}\nclaims:"}},
		{evidence.ClaimFleetChecked, "of which vendor hsm-1 is, its evidence doesn't show", evidence.NotShown, []string{"\nclaims:", "\nsites: {no_vendor_majority: true}\nclaims:", "  least: fresh\n", "  least: fresh\n  vendors: [STM]\n"}},
		{evidence.ClaimFleetChecked, "of which vendor hsm-1 is, its evidence doesn't show", evidence.NotShown, []string{"\nclaims:", "\nsites: {no_vendor_majority: true}\nclaims:", "formats: [tpm2-certify]", "formats: [luna-pkc]", "  least: fresh\n", "  least: vendor-signed\n"}},
	} {
		r := under(t, f, f.Now(), x.edits...)
		if c := r.Claim(x.claim); r.Verified || c.Grade != x.grade || !strings.Contains(c.Detail, x.want) || len(r.Problems) > 0 {
			t.Errorf("%q: verified %v, %+v, want %q\n%s", x.edits, r.Verified, c, x.want, says(r))
		}
	}
}

// An anchor that nobody confirmed is a key that nobody confirmed.
func TestAnAnchorThatNobodyConfirmedMakesThePolicyUnpinned(t *testing.T) {
	f := attested(t, "unconfirmed", nil)
	text := strings.Replace(string(f.Policy), "      confirmed: \"by the test\"\n", "", 1)
	p := must(evidence.ParsePolicy("policy.yaml", []byte(text)))
	in, q := evidence.Input{File: "e", Data: f.Archive}, evidence.Question{Now: f.Now()}
	if r := must(evidence.Verify(in, p, q)); r.Verified || !r.Met() || !slices.Equal(p.Unpinned(), []string{"anchor AK root"}) {
		t.Errorf("%v %q\n%s", r.Verified, p.Unpinned(), says(r))
	}
	q.TrustOnFirstUse = true
	if r := must(evidence.Verify(in, p, q)); !r.Verified {
		t.Errorf("on first use:\n%s", says(r))
	}
}

// Who demands attestations refuses a fleet whose plan names none, and evidence that is
// wrong is a problem for whoever demands nothing of it.
func TestAFleetWithoutAttestationsAndEvidenceThatIsWrongAreRefused(t *testing.T) {
	soft := testfleet.New(t, testfleet.Options{Name: "soft"})
	r := under(t, soft, soft.Now(), "\nclaims:", "\nattestation: {least: fresh}\nclaims:\n  key.attested: attested\n  countersigner.attested: attested")
	for _, name := range []string{evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested} {
		if c := r.Claim(name); r.Verified || !c.Short() || !strings.Contains(c.Detail, "the plan names no attestation of") {
			t.Errorf("%+v", c)
		}
	}
	// A level for the countersigner's key is no demand by itself: it isn't taken for one.
	level := strings.Replace(string(soft.Policy), "\nclaims:", "\nattestation: {least: fresh, countersigner: fresh}\nclaims:", 1)
	if _, err := evidence.ParsePolicy("p", []byte(level)); err == nil || !strings.Contains(err.Error(), "countersigner is fresh, and claims: doesn't demand countersigner.attested") {
		t.Errorf("a level that nothing demands: %v", err)
	}
	f := attested(t, "stale", ofSecond(spoiltEvidence[0].spoil))
	bare := must(planned.NewPolicy(f.Plan, "a test", nil))
	text := strings.NewReplacer("  key.attested: attested\n", "", "  countersigner.attested: attested\n", "").Replace(string(bare))
	text = text[:strings.Index(text, "\nattestation:")] + text[strings.Index(text, "  anchors: []")+len("  anchors: []"):]
	r = must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, must(evidence.ParsePolicy("p", []byte(text))), evidence.Question{Now: f.Now()}))
	if r.Verified || !strings.Contains(says(r), "stale: the evidence answers the nonce") {
		t.Errorf("demanding nothing: %v\n%s", r.Verified, says(r))
	}
	// The people recorded that all is well.
	for _, s := range f.Account.AttestationSteps() {
		if s.Record.Level != attest.Fresh.String() || len(s.Record.Problems) > 0 {
			t.Errorf("%+v", s.Record)
		}
	}
}

// One device can't stand for two HSMs of a plan, nor for one and the countersigner's.
func TestOneDeviceIsOneHSM(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Attested: true})
	one, two := f.Plan.HSMs[0].Attestation.Identity, f.Plan.HSMs[1].Attestation.Identity
	for _, other := range []string{two, f.Plan.Countersigner.Attestation.Identity} {
		text := strings.ReplaceAll(string(f.Plan.Raw()), other, one)
		if _, err := ceremony.ParsePlan("plan.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "has the attestation identity of line") {
			t.Errorf("%v", err)
		}
	}
}
