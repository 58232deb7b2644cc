//go:build cgo && unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/crypto/ed25519"
	"golang.org/x/mod/sumdb/note"

	fnote "github.com/transparency-dev/formats/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/rekor"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// leafSize is about a bundle's of five HSMs.
const leafSize = 3000

func randomLeaves(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = make([]byte, leafSize)
		_, _ = rand.Read(list[i]) // never fails
	}
	return list
}

// contender is a log that entries are added to, with their proofs made and
// verified where it is of a kind that does so.
type contender struct {
	name  string
	add   func(b *testing.B, leaves [][]byte)
	batch int // how many of 10,000 it is given
	took  []time.Duration
}

// BenchmarkLog adds one entry and 10,000 to our log, to Tessera alone with the
// same settings, and to real Rekors of both versions, in turn, so that the
// machine's moods hit all alike. A Rekor takes one entry at a time; of 10,000 it
// is given 500, or FLEETCTL_REKOR, by 32 clients at once: all of them take it
// minutes.
func BenchmarkLog(b *testing.B) {
	ours, bare := benchLog(b)
	list := []*contender{
		{name: "ours", batch: 10_000, add: func(b *testing.B, leaves [][]byte) {
			_, err := ours.Append(context.Background(), leaves...)
			check(b, err)
		}},
		{name: "tessera", batch: 10_000, add: bare},
	}
	some := 500
	if s := os.Getenv("FLEETCTL_REKOR"); s != "" {
		some, _ = strconv.Atoi(s)
	}
	for version := 1; version <= 2; version++ {
		if r := newBenchRekor(b, version); r != nil {
			list = append(list, &contender{name: fmt.Sprintf("rekor%d", version), batch: some, add: r.add})
		}
	}
	for _, many := range []bool{false, true} {
		name, size := "append=1", func(*contender) int { return 1 }
		if many {
			name, size = "append=10000", func(c *contender) int { return c.batch }
		}
		b.Run(name, func(b *testing.B) {
			for _, c := range list {
				c.took = nil
			}
			for b.Loop() {
				for _, c := range list {
					leaves := randomLeaves(size(c))
					// A checkpoint younger than this isn't replaced.
					time.Sleep(110 * time.Millisecond)
					start := time.Now()
					c.add(b, leaves)
					c.took = append(c.took, time.Since(start))
				}
			}
			for _, c := range list {
				b.ReportMetric(median(c.took), "ms/"+c.name)
				b.ReportMetric(float64(size(c)), "n/"+c.name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)/2].Microseconds()) / 1000
}

// benchLog is a log of ours, and one beside it to which Tessera adds alone,
// with our settings: open, add, wait for the checkpoint, close. No lock, no
// check, no guard, no index.
func benchLog(b *testing.B) (*tiled.Log, func(*testing.B, [][]byte)) {
	b.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub := key.Public().(ed25519.PublicKey)
	vkey, err := tiled.VKey("log.example/bench", pub)
	check(b, err)
	signer, err := tiled.NewSigner("log.example/bench", pub, func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil })
	check(b, err)
	dir, o := filepath.Join(b.TempDir(), "log"), tiled.Options{Timeout: time.Minute}
	check(b, tiled.Init(dir, vkey, o))
	l, err := tiled.Open(dir, signer, o)
	check(b, err)
	bare, err := os.MkdirTemp("", "fleetctl-tessera-")
	check(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(bare) }) // Tessera may still be at work there
	return l, func(b *testing.B, leaves [][]byte) {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		driver, err := posix.New(ctx, posix.Config{Path: bare})
		check(b, err)
		o := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(uint(len(leaves)), time.Second).
			WithCheckpointInterval(100 * time.Millisecond).WithCheckpointRepublishInterval(0).WithGarbageCollectionInterval(0)
		a, shutdown, reader, err := tessera.NewAppender(ctx, driver, o)
		check(b, err)
		await := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, time.Millisecond)
		futures := make([]tessera.IndexFuture, len(leaves))
		for i, leaf := range leaves {
			futures[i] = a.Add(ctx, tessera.NewEntry(leaf))
		}
		for _, f := range futures {
			_, err := f()
			check(b, err)
		}
		_, _, err = await.Await(ctx, futures[len(futures)-1])
		check(b, err)
		check(b, shutdown(ctx))
	}
}

// benchRekor is a real server.
type benchRekor struct {
	log    *auditlog.RekorLog
	url    string
	key    *ecdsa.PrivateKey
	public *keys.Public
}

func newBenchRekor(b *testing.B, version int) *benchRekor {
	b.Helper()
	if why := testrekor.LeftOut(); why != "" {
		b.Log(why)
		return nil
	}
	s, err := testrekor.Start(version)
	check(b, err)
	text, err := os.ReadFile(s.KeyFile)
	check(b, err)
	r := &benchRekor{url: s.URL, key: testrekor.Submitter("bench")}
	r.log, err = auditlog.NewRekorLog(version, s.Origin, string(text))
	check(b, err)
	der, err := r.key.PublicKey.Bytes()
	check(b, err)
	r.public, err = keys.FromPoint(keys.P256, der)
	check(b, err)
	return r
}

func (r *benchRekor) append(leaf []byte) (*rekor.Result, error) {
	c, err := rekor.New(r.log, rekor.Options{URL: r.url})
	if err != nil {
		return nil, err
	}
	return c.Append(context.Background(), leaf, testrekor.Envelope(leaf, r.key), r.public)
}

func (r *benchRekor) add(b *testing.B, leaves [][]byte) {
	next := make(chan []byte)
	var wg sync.WaitGroup
	for range min(32, len(leaves)) {
		wg.Go(func() {
			for leaf := range next {
				if _, err := r.append(leaf); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for _, leaf := range leaves {
		next <- leaf
	}
	close(next)
	wg.Wait()
}

// BenchmarkProof verifies proofs offline, in turn: of our log among 20,000
// entries with the cosignatures of two witnesses, and of real Rekors.
func BenchmarkProof(b *testing.B) {
	type kind struct {
		name   string
		bytes  int
		verify func() error
		took   []time.Duration
	}
	l, _ := benchLog(b)
	leaves := randomLeaves(20_000)
	_, err := l.Append(context.Background(), leaves...)
	check(b, err)
	text, err := l.Prove(context.Background(), 9_876)
	check(b, err)
	proof, policy := witnessed(b, text, l.VKey())
	list := []*kind{{name: "ours", bytes: len(proof), verify: func() error {
		p, err := auditlog.ParseProof("proof", proof)
		if err == nil {
			_, err = policy.Verify(leaves[9_876], p)
		}
		return err
	}}}
	for version := 1; version <= 2; version++ {
		r := newBenchRekor(b, version)
		if r == nil {
			continue
		}
		got, err := r.append(leaves[0])
		check(b, err)
		entry := got.Entry.Marshal()
		list = append(list, &kind{name: fmt.Sprintf("rekor%d", version), bytes: len(entry), verify: func() error {
			e, err := auditlog.ParseRekorEntry("entry", entry)
			if err == nil {
				_, err = r.log.Verify(leaves[0], e, []*keys.Public{r.public}, nil)
			}
			return err
		}})
	}
	for b.Loop() {
		for _, k := range list {
			start := time.Now()
			check(b, k.verify())
			k.took = append(k.took, time.Since(start))
		}
	}
	for _, k := range list {
		b.ReportMetric(float64(k.bytes), "bytes/"+k.name)
		b.ReportMetric(median(k.took)*1000, "µs/"+k.name)
		b.ReportMetric(float64(k.took[0].Nanoseconds())/1000, "µs-least/"+k.name)
	}
	b.ReportMetric(0, "ns/op")
}

// witnessed has two witnesses cosign a proof's checkpoint, and gives a policy
// that demands both.
func witnessed(b *testing.B, text []byte, vkey string) ([]byte, *auditlog.Policy) {
	b.Helper()
	p, err := auditlog.ParseProof("proof", text)
	check(b, err)
	policy := "log " + vkey + "\n"
	for i := 1; i <= 2; i++ {
		skey, wkey, err := note.GenerateKey(rand.Reader, fmt.Sprintf("witness%d.example", i))
		check(b, err)
		signer, err := fnote.NewSignerForCosignatureV1(skey)
		check(b, err)
		wkey, err = fnote.VKeyToCosignatureV1(wkey)
		check(b, err)
		policy += fmt.Sprintf("witness w%d %s\n", i, wkey)
		raw, err := signer.Sign([]byte(p.Checkpoint.Text()))
		check(b, err)
		p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, auditlog.Signature{Name: signer.Name(), KeyHash: signer.KeyHash(), Raw: raw})
	}
	parsed, err := auditlog.ParsePolicy("policy", []byte(policy+"group both all w1 w2\nquorum both\n"))
	check(b, err)
	out := p.Marshal()
	again, err := auditlog.ParseProof("proof", out)
	check(b, err)
	in, err := parsed.Verify(randomLeaves(1)[0], again)
	if err == nil {
		b.Fatalf("another entry's proof is taken: %+v", in)
	}
	return out, parsed
}
