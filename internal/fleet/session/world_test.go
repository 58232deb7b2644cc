package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// role is the session role of the fleets here, which have another one that signs.
const role = "session"

// rolePQ is that of the ML-DSA keys in fleets that have some. Test fleets' third parties know it.
const rolePQ = "vault"

var hybridRoles = []draft.Role{{Name: role, Algorithm: keys.P256}, {Name: rolePQ, Algorithm: keys.MLDSA44}}

var roles = []draft.Role{{Name: role, Algorithm: keys.Ed25519}, {Name: "backup", Algorithm: keys.P256}}

// world is a fleet whose bundle is logged and witnessed.
type world struct {
	*testfleet.Fleet
	policy *device.Policy
	set    *bundle.KeySet
	Answer
}

func newWorld(t testing.TB, o testfleet.Options) *world {
	t.Helper()
	if o.After == nil { // else it has the log of the fleet before
		o.Witnesses = 1
	}
	if o.Roles == nil {
		o.Roles = roles
	}
	return livedIn(t, testfleet.New(t, o))
}

func livedIn(t testing.TB, f *testfleet.Fleet) *world {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Fleet: f, Answer: Answer{f.Files[ceremony.BundleFile], f.Files[ceremony.ProofFile]}}
	if w.policy, err = planned.DevicePolicy(p, "", 24*time.Hour, device.Pins{}, true); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.ParseBundle("bundle", w.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	w.set = b.KeySet
	return w
}

// shared makes a fleet once.
func shared(o testfleet.Options) func(testing.TB) *world {
	var once sync.Once
	var w *world
	return func(t testing.TB) *world {
		once.Do(func() { w = newWorld(t, o) })
		return w
	}
}

var usual, hybrid = shared(testfleet.Options{Name: "sessions"}), shared(testfleet.Options{Name: "hybrid sessions", Roles: hybridRoles})

// fleetOf is the fleet that most tests share.
func fleetOf(t testing.TB) *world { return usual(t) }

// key is a node's key of a role, which the test's tokens have.
func (w *world) key(t testing.TB, hsm, role string) *Key {
	t.Helper()
	s := w.signer(t, hsm, role)
	return must(NewKey(s.Public.SPKI(), s.Sign))
}

// second is a node's ML-DSA key of a role; nil in a fleet that has none.
func (w *world) second(t testing.TB, hsm, role string) *PostQuantum {
	t.Helper()
	if all, _ := w.set.PostQuantumRoles(); len(all) == 0 {
		return nil
	}
	s := w.signer(t, hsm, role)
	return must(NewPostQuantum(role, s.Public.SPKI(), s.For(keys.ForSession)))
}

func (w *world) signer(t testing.TB, hsm, role string) *testfleet.Signer {
	t.Helper()
	for _, k := range w.set.Keys {
		if k.HSM != hsm || k.Role != role {
			continue
		}
		for _, tok := range w.Tokens {
			objects, _ := tok.Objects()
			for _, o := range objects {
				if s := tok.Key(o.ID); s != nil && bytes.Equal(s.Public.SPKI(), k.SPKI) {
					return s
				}
			}
		}
	}
	t.Fatalf("no token has the key of %s, role %s", hsm, role)
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *world) server(t testing.TB, hsm string) *Server {
	t.Helper()
	s, err := NewServer(hsm, role, w.key(t, hsm, role), w.second(t, hsm, rolePQ), w.Answer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// device is one that has seen nothing yet.
func (w *world) device(t testing.TB) *Client {
	dir := t.TempDir()
	return &Client{
		Policy: w.policy, State: device.File(filepath.Join(dir, "state")), Guard: device.File(filepath.Join(dir, "guard")), Begin: true,
		Role: role, Now: func() time.Time { return w.Last() },
	}
}

// opener is a node's side of a session, or of something that passes for one.
type opener func(context.Context, net.Conn) (net.Conn, error)

func (s *Server) opener() opener {
	return func(ctx context.Context, c net.Conn) (net.Conn, error) {
		n, err := s.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return n, nil
	}
}

// met is what came of a device's session with a node.
type met struct {
	session *Session
	err     error
	node    net.Conn
	nodeErr error
	heard   []byte // what the node got of a device that refused it
}

// meet has a device open a session with a node.
func meet(t testing.TB, c *Client, open opener) (m met) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			m.nodeErr = err
			return
		}
		if m.node, m.nodeErr = open(t.Context(), conn); m.nodeErr != nil {
			conn.Close()
			return
		}
	}()
	m.session, m.err = c.Dial(t.Context(), l.Addr().String())
	<-done
	if m.err != nil && m.nodeErr == nil {
		m.heard, _ = io.ReadAll(m.node)
	}
	t.Cleanup(func() {
		if m.node != nil {
			m.node.Close()
		}
		if m.session != nil {
			m.session.Close()
		}
	})
	return m
}

// wantRefusal demands that a device refused, for a reason, before it said anything.
func (m met) wantRefusal(t *testing.T, why bundle.Reason) {
	t.Helper()
	var r *bundle.Refusal
	switch {
	case m.err == nil:
		t.Fatalf("a session was opened; it should be refused for the reason %s", why)
	case !errors.As(m.err, &r) || r.Reason != why:
		t.Fatalf("got %v (the node: %v); it should be refused for the reason %s", m.err, m.nodeErr, why)
	case m.session != nil:
		t.Error("there is a session beside the error")
	case len(m.heard) > 0:
		t.Errorf("the device said %d bytes to a node that it refuses", len(m.heard))
	}
}
