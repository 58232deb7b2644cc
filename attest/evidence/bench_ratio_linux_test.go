package evidence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// signatures are all that a package holds, each as the check that nothing but
// the signature takes: keys admitted, files read, texts made beforehand.
func signatures(t testing.TB, f *testfleet.Fleet) (checks []func() error) {
	t.Helper()
	plan := f.Plan
	for path, data := range f.Files {
		text, isSig := strings.CutSuffix(path, ".sig")
		if !isSig {
			continue
		}
		sig := must(sshsig.Parse(path, data))
		message := f.Files[text]
		if strings.HasPrefix(path, ceremony.PlanApprovalsDir) {
			message = plan.Raw()
		}
		checks = append(checks, func() error { return sig.Verify(sig.Namespace(), message) })
	}
	a, _, err := ceremony.Replay(plan, ceremony.TranscriptFile, f.Transcript())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range a.Keys {
		key, message := must(keys.ParseSPKI(k.Outcome.PublicKey)), a.PossessionText(k)
		checks = append(checks, func() error { return key.Verify(keys.ForPossession, message, k.Possession.Signature) })
	}
	b := must(bundle.ParseBundle("", f.Files[ceremony.BundleFile]))
	for _, s := range b.Statements {
		message := s.Statement.Message()
		checks = append(checks, func() error { return keys.VerifyEd25519(s.Key[:], message, s.Statement.Signature[:]) })
	}
	text := must(a.CountersignText())
	for _, c := range b.Countersignatures {
		checks = append(checks, func() error { return c.Key.Verify(keys.ForCountersignature, text, c.Signature) })
	}
	log := must(auditlog.ParsePolicy("", []byte(plan.LogPolicy))).Logs()[0]
	proof := must(auditlog.ParseProof("", f.Files[ceremony.ProofFile]))
	for _, s := range proof.Checkpoint.Signatures {
		checks = append(checks, func() error { _, err := log.Key.Check(proof.Checkpoint, s.Raw); return err })
	}
	return checks
}

// spent is the processor time of this process so far, its garbage collector's
// with it: what others do meanwhile doesn't count.
func spent() time.Duration {
	var t unix.Timespec
	must(0, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}

// besides measures a package's verification and its signatures in turn, many
// times: both meet the same weather.
func besides(t testing.TB, hsms, turns int) (whole, bare time.Duration, n int) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{HSMs: hsms})
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	checks := signatures(t, f)
	for range turns {
		began := spent()
		if r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, policy, evidence.Question{Now: f.Now()}); err != nil || !r.Verified {
			t.Fatalf("%v %+v", err, r)
		}
		whole += spent() - began
		began = spent()
		for _, check := range checks {
			if err := check(); err != nil {
				t.Fatal(err)
			}
		}
		bare += spent() - began
	}
	return whole / time.Duration(turns), bare / time.Duration(turns), len(checks)
}

// BenchmarkVerifyBesideSignatures gives how many times its signatures' own time a
// package takes, from the archive's bytes to the report.
func BenchmarkVerifyBesideSignatures(b *testing.B) {
	for _, hsms := range []int{5, 100} {
		b.Run(fmt.Sprintf("HSMs=%d", hsms), func(b *testing.B) {
			whole, bare, n := besides(b, hsms, b.N)
			b.ReportMetric(float64(whole.Microseconds()), "µs/package")
			b.ReportMetric(float64(bare.Microseconds()), "µs/signatures")
			b.ReportMetric(float64(n), "signatures")
			b.ReportMetric(float64(whole)/float64(bare), "ratio")
		})
	}
}

// TestAPackageTakesAFewTimesItsSignatures holds a verification near what its
// signatures alone take: it was eleven times that when each signature was verified
// for each act, and each record encoded again.
func TestAPackageTakesAFewTimesItsSignatures(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("it measures")
	}
	for hsms, most := range map[int]float64{5: 3.5, 100: 4} {
		whole, bare, n := besides(t, hsms, 1500/(hsms+5))
		t.Logf("a package of %d HSMs: %v, its %d signatures %v: %.2f times", hsms, whole, n, bare, float64(whole)/float64(bare))
		if float64(whole) > most*float64(bare) {
			t.Errorf("a package of %d HSMs takes %v, its %d signatures %v", hsms, whole, n, bare)
		}
	}
}

// TestACeremonyIsLinearInItsHSMs holds what an HSM adds to a ceremony's processor
// time, from its plan to its package with tokens in memory: the same whether few
// stand before it or as many as a bundle holds.
func TestACeremonyIsLinearInItsHSMs(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("it measures")
	}
	life := func(hsms int) time.Duration {
		began := spent()
		testfleet.New(t, testfleet.Options{HSMs: hsms})
		return spent() - began
	}
	life(3) // what is made once
	few, some, many := life(3), life(81), life(243)
	first, later := (some-few)/(81-3), (many-some)/(243-81)
	t.Logf("3, 81 and 243 HSMs: %v, %v, %v; an HSM adds %v and then %v", few, some, many, first, later)
	if later > 2*first {
		t.Errorf("an HSM adds %v to a ceremony of few and %v to one of many", first, later)
	}
}
