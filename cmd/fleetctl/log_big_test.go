//go:build cgo && unix

package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"golang.org/x/crypto/ed25519"

	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// bigLog is a log of real bundles: epoch after epoch of one namespace, each with
// keys of its own, naming the one before, signed by third party and operator.
type bigLog struct {
	dir    string // of the log
	policy string // file that pins its parties
	now    time.Time
	sample []byte // one of its bundles
}

const bigHSMs = 5

// pinnedLog is a log whose key a plan names and that is written otherwise.
type pinnedLog string

func (p pinnedLog) VKey() string                  { return string(p) }
func (p pinnedLog) Append([]byte) ([]byte, error) { panic("the plan's log is written in batches") }

func newBigLog(tb testing.TB, n int) *bigLog {
	tb.Helper()
	home := tb.TempDir()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub := key.Public().(ed25519.PublicKey)
	vkey, err := tiled.VKey("log.example/big", pub)
	check(tb, err)
	parties := &testfleet.Parties{
		ThirdParty: testfleet.SoftSigner(keys.Ed25519, "big third party"),
		Operator:   testfleet.SoftSigner(keys.P256, "big operator"),
		Log:        pinnedLog(vkey), Ledger: filepath.Join(home, "ledger.jsonl"),
	}
	f := testfleet.Prepared(tb, testfleet.Options{Name: "big", HSMs: bigHSMs, Parties: parties})
	l := &bigLog{dir: filepath.Join(home, "log"), policy: filepath.Join(home, "policy.yaml"), now: f.Now()}
	check(tb, os.WriteFile(l.policy, f.Policy, 0o600))

	s, err := tiled.NewSigner("log.example/big", pub, func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil })
	check(tb, err)
	o := tiled.Options{Keys: tiled.Keys{Scheme: "none", Of: func([]byte) []string { return nil }}, Timeout: 10 * time.Minute}
	check(tb, tiled.Init(l.dir, vkey, o))
	log, err := tiled.Open(l.dir, s, o)
	check(tb, err)
	g := newGenerations(parties)
	for from := 0; from < n; from += 20_000 {
		leaves := g.next(tb, min(20_000, n-from))
		_, err := log.Append(context.Background(), leaves...)
		check(tb, err)
		l.sample = leaves[0]
	}
	return l
}

// generations makes one epoch after the other.
type generations struct {
	parties  *testfleet.Parties
	epoch    uint64
	previous []byte
	point    *edwards25519.Point
}

func newGenerations(p *testfleet.Parties) *generations {
	return &generations{parties: p, point: edwards25519.NewGeneratorPoint()}
}

// raw is another public key each time; nobody has to sign with it.
func (g *generations) raw() []byte {
	g.point.Add(g.point, edwards25519.NewGeneratorPoint())
	return g.point.Bytes()
}

func (g *generations) key() []byte {
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(g.raw()))
	if err != nil {
		panic(err)
	}
	return der
}

// next gives the bundles of n epochs.
func (g *generations) next(tb testing.TB, n int) [][]byte {
	tb.Helper()
	sets, artifacts, leaves := make([]*bundle.KeySet, n), make([][]byte, n), make([][]byte, n)
	for i := range artifacts {
		g.epoch++
		set := &bundle.KeySet{
			Mode: bundle.Rehearsal, Fleet: "backup-test", Namespace: testfleet.Namespace, Epoch: g.epoch, Previous: g.previous,
			Created: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Majority: bigHSMs/2 + 1,
			Ceremony: bundle.CeremonyRef{ID: fmt.Sprintf("big-%d", g.epoch), Plan: seedOf("plan", g.epoch), Transcript: seedOf("transcript", g.epoch)},
		}
		for h := range bigHSMs {
			set.Keys = append(set.Keys, bundle.FleetKey{HSM: fmt.Sprintf("hsm-%d", h+1), Role: "session", Algorithm: keys.Ed25519, SPKI: g.key()})
		}
		sets[i], artifacts[i] = set, set.Encode()
		digest := bundle.Digest(artifacts[i])
		g.previous = digest[:]
	}
	var wg sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for c := range cores {
		wg.Go(func() {
			for i := c; i < n; i += cores {
				leaf, err := g.sign(sets[i], artifacts[i])
				if err != nil {
					tb.Error(err)
					return
				}
				leaves[i] = leaf
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
	return leaves
}

func seedOf(what string, epoch uint64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(what), epoch))
}

// sign makes the bundle of a key set and its bytes.
func (g *generations) sign(set *bundle.KeySet, artifact []byte) ([]byte, error) {
	raw, _ := g.parties.ThirdParty.Public.Ed25519()
	s, err := bundle.NewStatement(bundle.Protobuf, testfleet.Namespace, 1795255200000+set.Epoch, set.Epoch, bundle.Digest(artifact))
	if err != nil {
		return nil, err
	}
	sig, err := g.parties.ThirdParty.Sign(s.Message())
	if err != nil {
		return nil, err
	}
	s.Signature = [64]byte(sig)
	statements := []bundle.Signed{{Key: [32]byte(raw), Statement: s}}
	counter, err := g.parties.Operator.Sign(bundle.CountersignText(set, statements))
	if err != nil {
		return nil, err
	}
	b, err := bundle.Assemble(artifact, statements, []bundle.Countersignature{{Key: g.parties.Operator.Public, Form: bundle.FormBound, Signature: counter}}, &bundle.Head{Hash: sha256.Sum256(artifact), N: 1})
	if err != nil {
		return nil, err
	}
	return b.Raw(), nil
}
