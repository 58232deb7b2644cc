package history

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func edKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("history test " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func raw(name string) [32]byte { return [32]byte(edKey(name).Public().(ed25519.PublicKey)) }

func spki(name string) []byte { return must(x509.MarshalPKIXPublicKey(edKey(name).Public())) }

const space = "example.backup.fleet_keys.v1"

// start is 2026-11-21T10:00:00Z in milliseconds; epochs are an hour apart.
const start = 1795255200000

var now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func sealed(by, ns string, epoch, ms uint64, digest [32]byte) *bundle.Statement {
	s := must(bundle.NewStatement(bundle.Protobuf, ns, ms, epoch, digest))
	return must(s.Seal(raw(by), ed25519.Sign(edKey(by), s.Message())))
}

func digestOf(epoch uint64) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "artifact %d", epoch)) }

// plain is the statement of an epoch whose artifact nobody has.
func plain(epoch uint64) []byte {
	return sealed("tp", space, epoch, start+epoch*3600_000, digestOf(epoch)).Raw()
}

// memory is an archive in memory.
type memory []Item

func (m memory) Each(_ context.Context, f func(Item) error) error {
	for i, it := range m {
		it.Ref, it.Data = uint64(i), bytes.Clone(it.Data)
		if err := f(it); err != nil {
			return err
		}
		clear(it.Data) // not to be kept
	}
	return nil
}
func (m memory) Load(ref uint64) ([]byte, error) { return m[ref].Data, nil }
func (m memory) Name(ref uint64) string          { return fmt.Sprintf("file-%d", ref) }

func items(data ...[]byte) memory {
	var m memory
	for _, d := range data {
		m = append(m, Item{Data: d})
	}
	return m
}

func options() Options {
	return Options{Keys: []Key{{Name: "tp", Key: raw("tp")}}, Now: now, Rows: 20}
}

func check(t *testing.T, m memory, o Options) *Report {
	t.Helper()
	r, err := Check(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fleet is epochs 1 to n with artifacts: at every epoch another key of hsm-1.
type fleet struct {
	sets    []*bundle.KeySet
	signed  []bundle.Signed
	bundles []*bundle.Bundle
}

var operatorKey = must(keys.ParseSPKI(spki("operator")))

func newFleet(n int) *fleet {
	f := &fleet{}
	var previous []byte
	for e := 1; e <= n; e++ {
		s := &bundle.KeySet{
			Mode: bundle.Production, Fleet: "backup", Namespace: space, Epoch: uint64(e), Previous: previous,
			Created: time.UnixMilli(start).UTC(), Majority: 2, Ceremony: bundle.CeremonyRef{ID: fmt.Sprintf("c-%d", e), Plan: [32]byte{1}, Transcript: [32]byte{2}},
		}
		for i, key := range []string{fmt.Sprintf("hsm-1 %d", e), "hsm-2", "hsm-3"} {
			s.Keys = append(s.Keys, bundle.FleetKey{HSM: fmt.Sprintf("hsm-%d", i+1), Role: "session", Algorithm: keys.Ed25519, SPKI: spki(key)})
		}
		set := must(bundle.ParseKeySet("set", s.Encode()))
		digest := set.Digest()
		previous = digest[:]
		st := sealed("tp", space, uint64(e), start+uint64(e)*3600_000, digest)
		one := []bundle.Signed{{Key: raw("tp"), Statement: st}}
		text := must(bundle.CountersignMessage(bundle.FormBound, set, one))
		b := must(bundle.Assemble(set.Raw(), one, []bundle.Countersignature{{Key: operatorKey, Form: bundle.FormBound, Signature: ed25519.Sign(edKey("operator"), text)}}, &bundle.Head{Hash: digest, N: 1}))
		f.sets, f.signed, f.bundles = append(f.sets, set), append(f.signed, one[0]), append(f.bundles, b)
	}
	return f
}

func trust(ns string) *bundle.Trust {
	return &bundle.Trust{
		Mode: bundle.Production, Namespace: ns, Needed: 1,
		ThirdParties: []bundle.ThirdParty{{Name: "tp", Key: raw("tp")}},
		Operators:    []bundle.Operator{{Name: "operator", Key: operatorKey, Form: bundle.FormBound}},
	}
}

func (f *fleet) archive() memory {
	var m memory
	for i := range f.sets {
		m = append(m, Item{Data: f.signed[i].Statement.Raw()}, Item{Data: f.bundles[i].Raw(), Operator: true})
	}
	return m
}

// wantProblem says that exactly this is wrong.
func wantProblem(t *testing.T, r *Report, check, what string) {
	t.Helper()
	for _, p := range r.Problems {
		if p.Check == check && bytes.Contains([]byte(p.What), []byte(what)) {
			if r.Good() {
				t.Error("the report is good all the same")
			}
			return
		}
	}
	t.Errorf("no problem of %s with %q; there are %v", check, what, r.Problems)
}
