package testfleet_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func verified(t *testing.T, f *testfleet.Fleet) {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: f.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verified {
		t.Fatalf("the fleet is not verified: %+v", r.Problems)
	}
}

func TestAFleetInMemoryIsVerifiedAndAlwaysTheSame(t *testing.T) {
	a, b := testfleet.New(t, testfleet.Options{}), testfleet.New(t, testfleet.Options{})
	verified(t, a)
	if !bytes.Equal(a.Archive, b.Archive) {
		t.Error("two runs with the same options differ")
	}
	verified(t, testfleet.New(t, testfleet.Options{Name: "other", HSMs: 1, Form: "signature", Ciphersuite: 2,
		Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "backup", Algorithm: keys.P256}}}))
	verified(t, testfleet.New(t, testfleet.Options{Name: "next", After: a}))
}

func TestAFleetOnSoftHSMIsVerified(t *testing.T) {
	began := time.Now()
	a := testfleet.SoftHSM(t, testfleet.Options{})
	t.Logf("3 HSMs and 3 parties in %v", time.Since(began).Round(time.Millisecond))
	verified(t, a)
	verified(t, testfleet.SoftHSM(t, testfleet.Options{Name: "next", After: a}))
}
