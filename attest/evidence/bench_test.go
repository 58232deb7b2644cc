package evidence_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func benchmark(b *testing.B, in evidence.Input, f *testfleet.Fleet, expect evidence.Type) {
	b.Helper()
	p := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	b.SetBytes(int64(len(in.Data)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := evidence.Verify(in, p, evidence.Question{Now: f.Now(), Expect: expect})
		if err != nil || !r.Verified {
			b.Fatalf("%v %+v", err, r)
		}
	}
}

// BenchmarkVerifyPackage verifies a package of 5 HSMs with one key each.
func BenchmarkVerifyPackage(b *testing.B) {
	f := testfleet.New(b, testfleet.Options{HSMs: 5})
	benchmark(b, evidence.Input{File: "evidence.tar", Data: f.Archive}, f, "")
}

// BenchmarkVerifyBundle verifies the same fleet's bundle with its proof.
func BenchmarkVerifyBundle(b *testing.B) {
	f := testfleet.New(b, testfleet.Options{HSMs: 5})
	benchmark(b, evidence.Input{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}, f, evidence.TypeBundle)
}

func BenchmarkUnpack(b *testing.B) {
	f := testfleet.New(b, testfleet.Options{HSMs: 5})
	b.ReportAllocs()
	for b.Loop() {
		must(evidence.Unpack("evidence.tar", f.Archive))
	}
}
