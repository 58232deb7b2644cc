package bundle

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// BenchmarkDevice compares a device's whole check with nothing but its
// signatures: a third party's, the operator's P-256, the log's, two witnesses'.
func BenchmarkDevice(b *testing.B) {
	bundle, trust := benchWorld()
	log := logPolicy(b, both)
	proof := logged(bundle.Raw(), now, now)
	b.Run("Check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Check(bundle.Raw(), proof, trust, log, nil, now, time.Hour); err != nil {
				b.Fatal(err)
			}
		}
	})
	floor := deviceFloor(bundle, 1)
	b.Run("Signatures", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !floor() {
				b.Fatal("does not verify")
			}
		}
	})
}

// TestADeviceSpendsItsTimeOnSignatures holds a device's whole check, of a fleet
// whose keys it knows, to 1.09 times its signatures' own time. Of the log and
// each witness it verifies two: auditlog makes a negative control with each.
// Both are measured in turn, and the quietest of many turns counts.
func TestADeviceSpendsItsTimeOnSignatures(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("it measures")
	}
	bundle, trust := benchWorld()
	log := logPolicy(t, both)
	proof := logged(bundle.Raw(), now, now)
	floor := deviceFloor(bundle, 2)
	check, signatures := time.Hour, time.Hour
	for turn := range 2000 {
		if turn >= 400 && float64(check) <= 1.09*float64(signatures) {
			break // on a machine that others use too, quiet turns are rare
		}
		began := time.Now()
		if _, err := Check(bundle.Raw(), proof, trust, log, nil, now, time.Hour); err != nil {
			t.Fatal(err)
		}
		check = min(check, time.Since(began))
		began = time.Now()
		if !floor() {
			t.Fatal("does not verify")
		}
		signatures = min(signatures, time.Since(began))
	}
	t.Logf("check %v, its signatures %v: %.2f times", check, signatures, float64(check)/float64(signatures))
	if float64(check) > 1.09*float64(signatures) {
		t.Errorf("a check takes %v, its signatures %v", check, signatures)
	}
}

// deviceFloor verifies the signatures and does nothing else; those of log and
// witnesses several times.
func deviceFloor(bundle *Bundle, times int) func() bool {
	s, c := bundle.Statements[0], bundle.Countersignatures[0]
	msg, text := s.Statement.Message(), keys.Digest(keys.P256, CountersignText(bundle.KeySet, bundle.Statements))
	pub := signer(keys.P256, "operator").Public().(*ecdsa.PublicKey)
	checkpoint := make([]byte, 100)
	var note [3][]byte
	names := [3]string{logKey.name, witness1.name, witness2.name}
	var raw [3][32]byte
	for i, name := range names {
		note[i], raw[i] = ed25519.Sign(edKey(name), checkpoint), edRaw(name)
	}
	return func() bool {
		ok := ed25519.Verify(s.Key[:], msg, s.Statement.Signature[:]) && ecdsa.VerifyASN1(pub, text, c.Signature)
		for range times {
			for i := range note {
				ok = ok && ed25519.Verify(raw[i][:], checkpoint, note[i])
			}
		}
		return ok
	}
}
