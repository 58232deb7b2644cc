package ceremony_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// BenchmarkReplay replays the transcript of 5 HSMs with one key each.
func BenchmarkReplay(b *testing.B) {
	f := testfleet.New(b, testfleet.Options{HSMs: 5})
	data := f.Transcript()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		a, _, err := ceremony.Replay(f.Plan, "t", data)
		if err != nil || a.Close == nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseTranscript(b *testing.B) {
	f := testfleet.New(b, testfleet.Options{HSMs: 5})
	b.ReportAllocs()
	for b.Loop() {
		must(ceremony.ParseTranscript("t", f.Transcript(), f.Plan.Digest()))
	}
}

func BenchmarkParsePlan(b *testing.B) {
	f := testfleet.Prepared(b, testfleet.Options{HSMs: 5})
	b.ReportAllocs()
	for b.Loop() {
		must(ceremony.ParsePlan("p", f.Plan.Raw()))
	}
}
