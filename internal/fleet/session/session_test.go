package session

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestADeviceOpensASessionWithEachNodeOfItsFleet(t *testing.T) {
	w := fleetOf(t)
	c := w.device(t)
	var exporters [][]byte
	for _, hsm := range w.set.HSMs() {
		m := meet(t, c, w.server(t, hsm).opener())
		if m.err != nil || m.nodeErr != nil {
			t.Fatalf("%s: device %v, node %v", hsm, m.err, m.nodeErr)
		}
		s, n := m.session, m.node.(*Conn)
		if s.Node() != hsm || n.Node() != hsm || !bytes.Equal(s.Key(), w.key(t, hsm, role).SPKI()) || s.Artifact() != w.set.Digest() || n.Artifact() != w.set.Digest() {
			t.Errorf("the session with %s is with %s, key %x, artifact %x", hsm, s.Node(), s.Key(), s.Artifact())
		}
		if s.Accepted().Bundle.KeySet.Digest() != w.set.Digest() {
			t.Error("the device has accepted another bundle")
		}
		if len(s.Exporter()) != 32 || !bytes.Equal(s.Exporter(), n.Exporter()) {
			t.Errorf("the two sides' exporters are %x and %x", s.Exporter(), n.Exporter())
		}
		for _, other := range exporters {
			if bytes.Equal(other, s.Exporter()) {
				t.Error("two sessions have one exporter")
			}
		}
		exporters = append(exporters, s.Exporter())
		if state := s.tls.ConnectionState(); state.CurveID != tls.X25519MLKEM768 || state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != DrillProtocol {
			t.Errorf("TLS %x, key exchange %v, protocol %s", state.Version, state.CurveID, state.NegotiatedProtocol)
		}
		c.Begin = false // from the second on it knows its fleet
		go func() { _, _ = s.Write([]byte("ping")) }()
		got := make([]byte, 4)
		if _, err := io.ReadFull(n, got); err != nil || string(got) != "ping" {
			t.Errorf("the node heard %q: %v", got, err)
		}
	}
}

func TestKeysOfEveryKindThatSignsOpenSessions(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.P256, keys.P384} { // tokens in memory have no RSA
		w := newWorld(t, testfleet.Options{Name: "kind " + string(alg), HSMs: 2, Roles: []draft.Role{{Name: role, Algorithm: alg}}})
		if m := meet(t, w.device(t), w.server(t, "hsm-2").opener()); m.err != nil || m.nodeErr != nil {
			t.Errorf("%s: device %v, node %v", alg, m.err, m.nodeErr)
		}
	}
}

func TestAnRSAKeySignsInTLSAsATokenDoes(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	key := must(NewKey(must(x509.MarshalPKIXPublicKey(k.Public())), func(message []byte) ([]byte, error) {
		sum := sha256.Sum256(message)
		return rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
	}))
	cert := must(key.certificate("hsm-1"))
	a, b := net.Pipe()
	defer a.Close()
	server := config(DrillProtocol, func(tls.ConnectionState) error { return nil })
	server.Certificates = []tls.Certificate{cert}
	go func() { _ = tls.Server(b, server).Handshake() }()
	var got []byte
	err = tls.Client(a, config(DrillProtocol, func(s tls.ConnectionState) (err error) { got, err = shown(s); return err })).Handshake()
	if err != nil || !bytes.Equal(got, key.SPKI()) {
		t.Errorf("key %x: %v", got, err)
	}
	if _, err := key.SignMessage(nil, []byte("x"), crypto.SHA512); err == nil {
		t.Error("it signs over another digest than its token does")
	}
	if _, err := key.Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
		t.Error("it signs a digest")
	}
}

func TestASessionIsNeverResumed(t *testing.T) {
	w := fleetOf(t)
	// A device that would like tickets gets none, and pays the HSM's signature twice.
	signed := 0
	k := w.key(t, "hsm-1", role)
	sign := k.sign
	k.sign = func(m []byte) ([]byte, error) { signed++; return sign(m) }
	s, err := NewServer("hsm-1", role, k, nil, w.Answer)
	if err != nil {
		t.Fatal(err)
	}
	signed = 0
	cache := &cacheOf{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	for range 2 {
		a, b := net.Pipe()
		done := make(chan error, 1)
		go func() { _, err := s.Open(t.Context(), b); done <- err }()
		cfg := config(DrillProtocol, func(tls.ConnectionState) error { return nil })
		cfg.SessionTicketsDisabled, cfg.ClientSessionCache, cfg.ServerName = false, cache, "node"
		conn := tls.Client(a, cfg)
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := readGreeting(conn); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || conn.ConnectionState().DidResume {
			t.Fatalf("resumed %v: %v", conn.ConnectionState().DidResume, err)
		}
		a.Close()
	}
	if signed != 2 || cache.puts != 0 {
		t.Errorf("the HSM signed %d times in 2 sessions, and %d tickets came", signed, cache.puts)
	}
}

type cacheOf struct {
	tls.ClientSessionCache
	puts int
}

func (c *cacheOf) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.puts++
	}
	c.ClientSessionCache.Put(key, s)
}

func TestANodeServesManyDevicesAndEndsThemWithItself(t *testing.T) {
	w := fleetOf(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	opened := make(chan string, 8)
	go func() {
		ended <- w.server(t, "hsm-3").Serve(ctx, l, func(_ context.Context, c *Conn) {
			opened <- c.Node()
			_, _ = io.Copy(c, c)
		}, nil)
	}()
	var all []*Session
	for range 3 {
		s, err := w.device(t).Dial(ctx, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		all = append(all, s)
		if got := <-opened; got != "hsm-3" {
			t.Errorf("%s served", got)
		}
	}
	for _, s := range all {
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := all[0].Read(make([]byte, 1)); err == nil {
		t.Error("a session goes on after its node")
	}
}

func TestADeviceThatGivesUpIsFreeAtOnce(t *testing.T) {
	w := fleetOf(t)
	a, b := net.Pipe()
	defer b.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := w.device(t).Open(ctx, a); done <- err }()
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil { // the handshake has begun, and is not answered
		t.Fatal(err)
	}
	stop()
	var err error
	await.Until(t, "the device gives up", func() bool {
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
