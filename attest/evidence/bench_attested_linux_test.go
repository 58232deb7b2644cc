package evidence_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// deviceSignatures verify what a fleet's evidence holds of signatures, and nothing
// else: of each device its attestation key's, and two certificates'.
func deviceSignatures(t testing.TB, f *testfleet.Fleet) (checks []func() bool) {
	t.Helper()
	add := func(key crypto.PublicKey, message, sig []byte) {
		h := sha256.Sum256(message)
		checks = append(checks, func() bool { return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), h[:], sig) })
	}
	for _, s := range f.Account.AttestationSteps() {
		d := f.Attester.Devices[s.HSM]
		said := must(attest.ParseEvidence(s.File, f.Files[s.File])).Part(tpm.PartAttest)
		h := sha256.Sum256(said)
		add(d.AK.Public(), said, must(d.AK.Sign(nil, h[:], crypto.SHA256)))
		for _, link := range [][2]*at.Cert{{d.Cert, d.Mid}, {d.Mid, d.Root}} {
			add(link[1].PublicKey, link[0].RawTBSCertificate, link[0].Signature)
		}
	}
	return checks
}

// TestSevenHSMsEvidenceInAPackageTakesAtMostTwiceItsSignatures measures all that a
// package's verification does for devices' evidence, from the files' bytes to what
// the report says, and the evidence's signatures, in turn.
func TestSevenHSMsEvidenceInAPackageTakesAtMostTwiceItsSignatures(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("it measures")
	}
	f := testfleet.New(t, testfleet.Options{HSMs: 7, Attested: true})
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	if r := must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, policy, evidence.Question{Now: f.Now()})); !r.Verified {
		t.Fatal(says(r))
	}
	checks := deviceSignatures(t, f)
	const turns, most = 60, 2.0
	var whole, bare time.Duration
	for range turns {
		began := spent()
		if err := f.Account.CheckAttestations(f.Files); err != nil {
			t.Fatal(err)
		}
		fleet := require.JudgeFleet(policy.Attestation, f.Account, f.Files, false)
		if short := require.Short(append(fleet.Keys, fleet.Countersigner)); short != "" || fleet.Wrong() != nil || require.Tell(fleet.Keys, f.Now()) == "" {
			t.Fatal(short, fleet.Wrong())
		}
		middle := spent()
		for _, check := range checks {
			if !check() {
				t.Fatal("a signature doesn't verify")
			}
		}
		whole, bare = whole+middle-began, bare+spent()-middle
	}
	ratio := float64(whole) / float64(bare)
	t.Logf("the evidence of seven HSMs and the countersigner's in a package: %v, its %d signatures %v: %.2f times", whole/turns, len(checks), bare/turns, ratio)
	if ratio > most {
		t.Errorf("%.2f times its signatures; at most %.1f", ratio, most)
	}
}
