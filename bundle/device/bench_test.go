package device

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// BenchmarkDevice is a device's whole check in one process beside nothing but its
// signatures: two third parties', the operator's P-256, the log's, two witnesses'.
// Times are of the processor, taken in turn, one of each: a device checks once. Those
// of the quietest tenth count, and beside them the mean, which has what other programs
// on the machine do to the caches.
func BenchmarkDevice(b *testing.B) {
	leaf, policy := made{}.bundle(), policy(Pins{})
	p := fresh(leaf)
	state := must(Judge(leaf.Raw(), p, policy, nil, now)).State
	once, twice := signatures(leaf, false), signatures(leaf, true)
	var check, least, controlled []time.Duration
	took := func(into *[]time.Duration, do func() bool) {
		began := await.Processor()
		if !do() {
			b.Fatal("does not verify")
		}
		*into = append(*into, await.Processor()-began)
	}
	for b.Loop() {
		took(&check, func() bool { _, err := Judge(leaf.Raw(), p, policy, state, now); return err == nil })
		took(&least, once)
		took(&controlled, twice)
	}
	quiet := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)/10].Nanoseconds()) / 1000
	}
	mean := func(list []time.Duration) (sum float64) {
		for _, d := range list {
			sum += float64(d)
		}
		return sum
	}
	b.ReportMetric(quiet(check), "µs/check")
	b.ReportMetric(quiet(least), "µs/signatures")
	b.ReportMetric(quiet(controlled), "µs/verified")
	b.ReportMetric(quiet(check)/quiet(controlled), "times")
	b.ReportMetric(quiet(check)/quiet(least), "times-signatures")
	b.ReportMetric(mean(check)/mean(controlled), "times-mean")
}

// What a check takes from the memory it pays for in time: the collector's share of a
// check's time is what is counted least easily.
func TestAJudgementTakesLittleFromTheMemory(t *testing.T) {
	if await.RaceDetector {
		t.Skip("the race detector allocates too")
	}
	leaf, policy := made{}.bundle(), policy(Pins{})
	p := fresh(leaf)
	state := must(Judge(leaf.Raw(), p, policy, nil, now)).State
	if n := testing.AllocsPerRun(50, func() { must(Judge(leaf.Raw(), p, policy, state, now)) }); n > 200 {
		t.Errorf("a judgement allocates %.0f times; 200 is enough", n)
	}
}

// signatures verifies a bundle's signatures and does nothing else; with control, the
// log's and the witnesses' over another tree too, where they must not verify.
func signatures(b *bundle.Bundle, control bool) func() bool {
	c := b.Countersignatures[0]
	text := keys.Digest(keys.P256, bundle.CountersignText(b.KeySet, b.Statements))
	pub := &p256("operator").PublicKey
	type signed struct {
		key       [32]byte
		text, sig []byte
		is        bool
	}
	var list []signed
	for _, s := range b.Statements {
		list = append(list, signed{s.Key, s.Statement.Message(), s.Statement.Signature[:], true})
	}
	for i, name := range []string{logKey.name, witness1.name, witness2.name} {
		checkpoint := bytes.Repeat([]byte{byte(i)}, 100)
		sig := ed25519.Sign(edKey(name), checkpoint)
		list = append(list, signed{edRaw(name), checkpoint, sig, true})
		if control {
			list = append(list, signed{edRaw(name), bytes.Repeat([]byte{byte(i + 9)}, 100), sig, false})
		}
	}
	return func() bool {
		ok := ecdsa.VerifyASN1(pub, text, c.Signature)
		for _, s := range list {
			ok = ed25519.Verify(s.key[:], s.text, s.sig) == s.is && ok
		}
		return ok
	}
}
