//go:build cgo && linux

package hsmhost

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
)

const (
	sessionRole = "session"
	sessionPQ   = "session-pq"
)

// sessions are a fleet of one HSM, kryoptic in its own process, whose bundle the parties of
// another fleet have signed and logged.
type sessions struct {
	client *Client
	keys   []*keys.Public // in the order of the roles
	answer session.Answer
	policy *device.Policy
	now    time.Time
	folder string
}

// sessionsOf makes such a fleet, with keys of these kinds: of the session role, and of
// the one that signs sessions inside TLS, if there is a second.
func sessionsOf(t testing.TB, kinds ...keys.Algorithm) *sessions {
	t.Helper()
	c := &Config{Module: testkryoptic.Module(t), InitArgs: filepath.Join(t.TempDir(), "kryoptic.sql"), Label: "node", Fleet: fleet}
	s := &sessions{keys: tokenOf(t, c, kinds...), folder: t.TempDir()}
	f := testfleet.New(t, testfleet.Options{Name: "lends its parties", HSMs: 1, Witnesses: 1})
	set := &bundle.KeySet{
		Mode: bundle.Rehearsal, Fleet: "in-its-own-process", Namespace: f.Plan.Namespace, Epoch: 1, Created: f.Last(), Majority: 1,
		Ceremony: bundle.CeremonyRef{ID: "one", Plan: [32]byte{1}, Transcript: [32]byte{2}},
	}
	for i, role := range []string{sessionRole, sessionPQ}[:len(kinds)] {
		set.Keys = append(set.Keys, bundle.FleetKey{HSM: "hsm-1", Role: role, Algorithm: kinds[i], SPKI: s.keys[i].SPKI()})
	}
	set = must(bundle.ParseKeySet("fleet-keys.json", set.Encode()))
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	st := must(bundle.NewStatement(bundle.Protobuf, set.Namespace, uint64(f.Last().UnixMilli()), 1, set.Digest()))
	signed := []bundle.Signed{{Key: [32]byte(raw), Statement: must(st.Seal([32]byte(raw), must(f.Parties.ThirdParty.Sign(st.Message()))))}}
	text := must(bundle.CountersignMessage(bundle.FormBound, set, signed))
	by := bundle.Countersignature{Key: f.Parties.Operator.Public, Form: bundle.FormBound, Signature: must(f.Parties.Operator.Sign(text))}
	s.answer.Bundle = must(bundle.Assemble(set.Raw(), signed, []bundle.Countersignature{by}, &bundle.Head{Hash: [32]byte{3}, N: 1})).Raw()
	s.now = f.Last().Add(time.Minute)
	f.Parties.Log.(*testfleet.Witnesses).At = func(int) time.Time { return s.now }
	s.answer.Proof = must(f.Parties.Log.Append(s.answer.Bundle))
	s.policy = must(planned.DevicePolicy(must(evidence.ParsePolicy("policy.yaml", f.Policy)), "", time.Hour, device.Pins{}, true))
	s.client = dial(t, start(t, c, folder(t)))
	t.Cleanup(func() { s.client.Close() })
	return s
}

func (s *sessions) sign(i int) func([]byte) ([]byte, error) {
	return func(m []byte) ([]byte, error) { return s.client.Sign(s.keys[i].SPKI(), m) }
}

// node is the HSM's node.
func (s *sessions) node(t testing.TB) *session.Server {
	t.Helper()
	key := must(session.NewKey(s.keys[0].SPKI(), s.sign(0)))
	var second *session.PostQuantum
	if len(s.keys) > 1 {
		second = must(session.NewPostQuantum(sessionPQ, s.keys[1].SPKI(), s.sign(1)))
	}
	return must(session.NewServer("hsm-1", sessionRole, key, second, s.answer))
}

// device is one that has seen nothing yet.
func (s *sessions) device() *session.Client {
	file := filepath.Join(s.folder, "state")
	return &session.Client{Policy: s.policy, State: device.File(file), Guard: device.File(file + ".guard"), Begin: true, Role: sessionRole, Now: func() time.Time { return s.now }}
}

// served has the node answer on this machine.
func served(t testing.TB, n *session.Server) (address string) {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- n.Serve(ctx, l, func(_ context.Context, c *session.Conn) { _, _ = c.Read(make([]byte, 1)) }, nil)
	}()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestAnHSMsProcessSignsHybridSessions: TLS by the token's P-256 key, and inside it by its
// ML-DSA key, over PKCS#11.
func TestAnHSMsProcessSignsHybridSessions(t *testing.T) {
	s := sessionsOf(t, keys.P256, keys.MLDSA44)
	d := s.device()
	at := served(t, s.node(t))
	for range 2 {
		c, err := d.Dial(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if c.Node() != "hsm-1" || !bytes.Equal(c.Key(), s.keys[0].SPKI()) {
			t.Errorf("the session is with %s, key %x", c.Node(), c.Key())
		}
		c.Close()
		d.Begin = false
	}
	// What it signs counts for sessions alone, and the classical key alone makes no node.
	sig := must(s.client.Sign(s.keys[1].SPKI(), []byte("a text")))
	if s.keys[1].Verify(keys.ForSession, []byte("a text"), sig) != nil || s.keys[1].Verify(keys.ForPossession, []byte("a text"), sig) == nil {
		t.Error("what the process signs is not for sessions alone")
	}
	key := must(session.NewKey(s.keys[0].SPKI(), s.sign(0)))
	_, err := session.NewServer("hsm-1", sessionRole, key, nil, s.answer)
	if r := (*bundle.Refusal)(nil); !errors.As(err, &r) || r.Reason != session.ReasonPostQuantum {
		t.Errorf("a node without its ML-DSA key: %v", err)
	}
	// A token that lost the key says so before the node listens.
	gone := testfleet.SoftSigner(keys.MLDSA44, "gone").Public.SPKI()
	if _, err := session.NewPostQuantum(sessionPQ, gone, func(m []byte) ([]byte, error) { return s.client.Sign(gone, m) }); err == nil {
		t.Error("a node starts with a key that its token doesn't have")
	}
}

// BenchmarkSessionInKryoptic is a session's set-up by keys in kryoptic's process, classical
// and hybrid.
func BenchmarkSessionInKryoptic(b *testing.B) {
	for _, kinds := range [][]keys.Algorithm{{keys.P256}, {keys.P256, keys.MLDSA44}, {keys.P256, keys.MLDSA65}, {keys.P256, keys.MLDSA87}} {
		b.Run(string(kinds[len(kinds)-1]), func(b *testing.B) {
			s := sessionsOf(b, kinds...)
			d := s.device()
			at := served(b, s.node(b))
			var all []time.Duration
			for b.Loop() {
				began := time.Now()
				c, err := d.Dial(b.Context(), at)
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, time.Since(began))
				c.Close()
				d.Begin = false
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms/median")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms/p99")
		})
	}
}
