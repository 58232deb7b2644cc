//go:build cgo && unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ed25519"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/log"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// BenchmarkAudit audits 20,000 real bundles (FLEETCTL_AUDIT says how many), each
// with new keys, and does beside it what can't be left out: a hash of each leaf
// and its two signatures; and that with the admission of its keys, which no
// audit has seen before either.
func BenchmarkAudit(b *testing.B) {
	n := 20_000
	if s := os.Getenv("FLEETCTL_AUDIT"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	l := newBigLog(b, n)
	text, err := os.ReadFile(l.policy)
	check(b, err)
	policy, err := evidence.ParsePolicy(l.policy, text)
	check(b, err)
	src, err := monitor.Open(l.dir, nil)
	check(b, err)
	defer debug.SetGCPercent(debug.SetGCPercent(log.GCPercent)) // as the command does
	var list [3]struct{ time, processor []time.Duration }
	var ratio []float64
	for b.Loop() {
		audit := spent(func() {
			e := entries.New(policy, func() time.Time { return l.now })
			r, err := monitor.Audit(context.Background(), src, policy.Log, log.EntryJudge{Judge: e}, monitor.AuditOptions{})
			if err != nil || r.Entries != uint64(n) || r.Found != 0 {
				b.Fatalf("%+v, %v", r, err)
			}
		})
		costs := []cost{audit, floor(b, l.sample, n, 0), floor(b, l.sample, n, bigHSMs)}
		for i, c := range costs {
			list[i].time, list[i].processor = append(list[i].time, c.time), append(list[i].processor, c.processor)
		}
		ratio = append(ratio, float64(audit.processor)/float64(costs[2].processor))
	}
	for i, name := range []string{"entry", "floor", "floor+keys"} {
		rate := strings.Replace(name, "entry", "entries", 1) + "/s"
		b.ReportMetric(float64(n)*1000/median(list[i].time), rate)
		b.ReportMetric(median(list[i].processor)*1000/float64(n), "µs-cpu/"+name)
	}
	slices.Sort(ratio)
	b.ReportMetric(ratio[len(ratio)/2], "ratio-cpu")
	b.ReportMetric(float64(l.audit(b).peak)/1024, "MiB-peak")
	b.ReportMetric(0, "ns/op")
}

// cost is what something took, and what of it were this process's processors',
// which a busy machine changes less.
type cost struct{ time, processor time.Duration }

func spent(f func()) cost {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start, before := time.Now(), used()
	f()
	return cost{time.Since(start), used() - before}
}

// floor hashes n leaves and verifies as many Ed25519 and ECDSA signatures, on
// all cores; beside each it admits so many new keys.
func floor(b *testing.B, leaf []byte, n, admit int) cost {
	b.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	check(b, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(b, err)
	digest := sha256.Sum256(leaf)
	sig := ed25519.Sign(key, digest[:])
	counter, err := ecdsa.SignASN1(rand.Reader, ec, digest[:])
	check(b, err)
	g := newGenerations(nil)
	var fresh [][]byte // more than are remembered
	for range min(n*admit, 25_000) {
		fresh = append(fresh, g.raw())
	}
	return spent(func() {
		var wg sync.WaitGroup
		cores := runtime.GOMAXPROCS(0)
		for c := range cores {
			wg.Go(func() {
				for i := c; i < n; i += cores {
					sum := sha256.Sum256(leaf)
					if !ed25519.Verify(pub, sum[:], sig) || !ecdsa.VerifyASN1(&ec.PublicKey, sum[:], counter) {
						panic("a good signature does not verify")
					}
					for k := range admit {
						if keys.AdmitEd25519(fresh[(i*admit+k)%len(fresh)]) != nil {
							panic("a good key is not admitted")
						}
					}
				}
			})
		}
		wg.Wait()
	})
}
