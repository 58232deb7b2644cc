//go:build cgo && unix

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// BenchmarkAudit audits 20,000 real bundles (FLEETCTL_AUDIT says how many) and
// does beside it what can't be left out: a hash of each, and its two
// signatures. The bundles are one, with other white space in each: it costs the
// same to judge, and is found to be repeated each time.
func BenchmarkAudit(b *testing.B) {
	n := 20_000
	if s := os.Getenv("FLEETCTL_AUDIT"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	f := testfleet.New(b, testfleet.Options{Name: "audit"})
	policy, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		b.Fatal(err)
	}
	src, logPolicy := benchLog(b, f, n)
	for b.Loop() {
		start := time.Now()
		e := evidence.NewEntries(policy, f.Now)
		r, err := monitor.Audit(context.Background(), src, logPolicy, entryJudge{e}, monitor.AuditOptions{})
		if err != nil || r.Entries != uint64(n) || r.Found != uint64(n-1) {
			b.Fatalf("%+v, %v", r, err)
		}
		took := time.Since(start)
		start = time.Now()
		floor(b, f.Files[ceremony.BundleFile], n)
		least := time.Since(start)
		b.ReportMetric(float64(n)/took.Seconds(), "entries/s")
		b.ReportMetric(float64(n)/least.Seconds(), "floor/s")
		b.ReportMetric(float64(took)/float64(least), "times-floor")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MB-sys")
		b.ReportMetric(0, "ns/op")
	}
}

// benchLog is a log of n bundles that differ in white space.
func benchLog(b *testing.B, f *testfleet.Fleet, n int) (*monitor.Source, *auditlog.Policy) {
	b.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub := key.Public().(ed25519.PublicKey)
	sign := func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil }
	vkey, err := tiled.VKey("log.example/bench", pub)
	if err != nil {
		b.Fatal(err)
	}
	s, err := tiled.NewSigner("log.example/bench", pub, sign)
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), "log")
	o := tiled.Options{KeyOf: func([]byte) string { return "" }, Timeout: 10 * time.Minute}
	if err := tiled.Init(dir, vkey, o); err != nil {
		b.Fatal(err)
	}
	l, err := tiled.Open(dir, s, o)
	if err != nil {
		b.Fatal(err)
	}
	good := f.Files[ceremony.BundleFile]
	for from := 0; from < n; from += 20_000 {
		var leaves [][]byte
		for i := from; i < min(n, from+20_000); i++ {
			// Spaces and tabs after the first brace, as a number in base two.
			pad := strings.NewReplacer("0", " ", "1", "\t").Replace(strconv.FormatInt(int64(i), 2))
			leaves = append(leaves, bytes.Replace(good, []byte("{"), []byte("{"+pad), 1))
		}
		if _, err := l.Append(context.Background(), leaves...); err != nil {
			b.Fatal(err)
		}
	}
	src, err := monitor.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	p, err := auditlog.ParsePolicy("policy", []byte("log "+vkey+"\nquorum none\n"))
	if err != nil {
		b.Fatal(err)
	}
	return src, p
}

// floor hashes n leaves and verifies as many Ed25519 and ECDSA signatures, on
// all cores.
func floor(b *testing.B, leaf []byte, n int) {
	b.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(leaf)
	sig := ed25519.Sign(key, digest[:])
	counter, err := ecdsa.SignASN1(rand.Reader, ec, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for c := range cores {
		wg.Go(func() {
			for i := c; i < n; i += cores {
				sum := sha256.Sum256(leaf)
				if !ed25519.Verify(pub, sum[:], sig) || !ecdsa.VerifyASN1(&ec.PublicKey, sum[:], counter) {
					panic("a good signature does not verify")
				}
			}
		})
	}
	wg.Wait()
}
