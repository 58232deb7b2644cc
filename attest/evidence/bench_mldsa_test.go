package evidence_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// BenchmarkSevenHSMsOf verifies bundle and package of seven HSMs with a role each,
// whose keys and whose countersigner are of one algorithm; of Ed25519 a P-256 key
// countersigns. It reports how large they are.
func BenchmarkSevenHSMsOf(b *testing.B) {
	for alg, operator := range map[keys.Algorithm]keys.Algorithm{
		keys.Ed25519: keys.P256, keys.MLDSA44: keys.MLDSA44, keys.MLDSA65: keys.MLDSA65, keys.MLDSA87: keys.MLDSA87,
	} {
		name := "seven " + string(alg)
		parties := testfleet.SoftParties(name, b.TempDir())
		parties.Operator = testfleet.SoftSigner(operator, name+" operator")
		f := testfleet.New(b, testfleet.Options{Name: name, HSMs: 7, Parties: parties, Roles: []draft.Role{{Name: "session", Algorithm: alg}}})
		b.Run(string(alg)+"/bundle", func(b *testing.B) {
			in := evidence.Input{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}
			benchmark(b, in, f, evidence.TypeBundle)
			b.ReportMetric(float64(len(in.Data)), "bytes")
		})
		b.Run(string(alg)+"/package", func(b *testing.B) {
			benchmark(b, evidence.Input{File: "evidence.tar", Data: f.Archive}, f, "")
			b.ReportMetric(float64(len(f.Archive)), "bytes")
		})
	}
}
