package session

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// peer is a node's stream, and what it refused.
type peer struct {
	*Stream
	refusals chan error
}

func (w *world) peer(t *testing.T, hsm string) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{refusals: make(chan error, 16)}
	p.Stream, err = NewStream(l, Peer{Node: hsm, Role: role, Key: w.key(t, hsm, role), Second: w.second(t, hsm, rolePQ), Bundle: w.Bundle, Refused: func(err error) { p.refusals <- err }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (p *peer) at() raft.ServerAddress { return raft.ServerAddress(p.Addr().String()) }

func TestNodesOfOneBundleReplicateOverTheStream(t *testing.T) {
	w := fleetOf(t)
	one := raft.NewNetworkTransport(w.peer(t, "hsm-1"), 2, 10*time.Second, io.Discard)
	two := raft.NewNetworkTransport(w.peer(t, "hsm-2"), 2, 10*time.Second, io.Discard)
	defer one.Close()
	defer two.Close()
	go func() {
		for rpc := range two.Consumer() {
			q := rpc.Command.(*raft.AppendEntriesRequest)
			rpc.Respond(&raft.AppendEntriesResponse{Term: q.Term, LastLog: uint64(len(q.Entries)), Success: true}, nil)
		}
	}()
	for term := range uint64(3) {
		var got raft.AppendEntriesResponse
		err := one.AppendEntries("two", two.LocalAddr(), &raft.AppendEntriesRequest{Term: term + 1, Entries: []*raft.Log{{Data: bytes.Repeat([]byte{1}, 1<<16)}}}, &got)
		if err != nil || got.Term != term+1 || got.LastLog != 1 || !got.Success {
			t.Fatalf("term %d: %+v, %v", term+1, got, err)
		}
	}
}

func TestAStreamKnowsWhoItsPeersAre(t *testing.T) {
	w := fleetOf(t)
	one, two := w.peer(t, "hsm-1"), w.peer(t, "hsm-2")
	got := make(chan string, 1)
	go func() {
		c, err := two.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer c.Close()
		got <- c.(*Conn).Node()
	}()
	c, err := one.Dial(two.at(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if at := c.(*Conn); at.Node() != "hsm-2" || at.tls.ConnectionState().CurveID != tls.X25519MLKEM768 {
		t.Errorf("the dialled node is %s", at.Node())
	}
	if name := <-got; name != "hsm-1" {
		t.Errorf("the dialling node is %s", name)
	}
}

func TestAStreamAdvertisesWhereItIsReached(t *testing.T) {
	w := fleetOf(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStream(l, Peer{Node: "hsm-1", Role: role, Key: w.key(t, "hsm-1", role), Bundle: w.Bundle, Advertise: "site-1.example:7000"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr().String() != "site-1.example:7000" {
		t.Errorf("it says %s", s.Addr())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if c, err := s.Accept(); err == nil {
		t.Errorf("a closed stream gives %v", c)
	}
}

// wantNamed demands an error that is a refusal for a reason.
func wantNamed(t *testing.T, err error, why bundle.Reason) {
	t.Helper()
	if r := (*bundle.Refusal)(nil); !errors.As(err, &r) || r.Reason != why {
		t.Errorf("got %v; it should be refused for the reason %s", err, why)
	}
}

func TestAStreamRefusesWhoeverIsNoNodeOfItsBundle(t *testing.T) {
	w := fleetOf(t)
	other := newWorld(t, testfleet.Options{Name: "another fleet", HSMs: 2})
	for name, change := range map[string]func(*Stream){
		"another fleet's node":       func(s *Stream) { *s = clone(other.peer(t, "hsm-1").Stream) },
		"a key of another role":      func(s *Stream) { s.cert = must(w.key(t, "hsm-1", "backup").certificate("hsm-1")) },
		"another name":               func(s *Stream) { s.node = "hsm-3" },
		"the same keys, not bundle":  func(s *Stream) { s.digest[0] ^= 1 },
		"a key that nobody has seen": func(s *Stream) { s.cert = stranger(t) },
	} {
		t.Run(name, func(t *testing.T) {
			two := w.peer(t, "hsm-2")
			one := clone(w.peer(t, "hsm-1").Stream)
			change(&one)
			one.set, one.role = w.set, role // it takes the other side for what it is
			if c, err := one.Dial(two.at(), 10*time.Second); err == nil {
				// The one that is refused may learn of it a little later.
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("the connection is of use")
				}
				c.Close()
			}
			wantNamed(t, <-two.refusals, ReasonNode)
		})
	}
}

// clone is a stream that dials as another does, and can be changed.
func clone(s *Stream) Stream {
	return Stream{node: s.node, cert: s.cert, role: s.role, key: s.key, second: s.second, set: s.set, digest: s.digest, ctx: s.ctx}
}

func stranger(t *testing.T) tls.Certificate {
	t.Helper()
	s := testfleet.SoftSigner(keys.Ed25519, "a stranger")
	return must(must(NewKey(s.Public.SPKI(), s.Sign)).certificate("hsm-1"))
}

func TestADialledStreamRefusesWhoeverIsNoNodeOfItsBundle(t *testing.T) {
	w := fleetOf(t)
	one := w.peer(t, "hsm-1")
	other := newWorld(t, testfleet.Options{Name: "another fleet's", HSMs: 2})
	two := other.peer(t, "hsm-2")
	c, err := one.Dial(two.at(), 10*time.Second)
	if c != nil {
		t.Error("there is a connection")
	}
	wantNamed(t, err, ReasonNode)
}

func TestADeviceAndAStreamDoNotMeet(t *testing.T) {
	w := fleetOf(t)
	one := w.peer(t, "hsm-1")
	_, err := w.device(t).Dial(t.Context(), one.Addr().String())
	wantNamed(t, err, ReasonALPN)
	wantNamed(t, <-one.refusals, ReasonALPN)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = w.server(t, "hsm-2").Open(t.Context(), c)
		}
	}()
	_, err = one.Dial(raft.ServerAddress(l.Addr().String()), 10*time.Second)
	wantNamed(t, err, ReasonALPN)
}

func TestAStreamRefusesWhoeverShowsNoCertificate(t *testing.T) {
	w := fleetOf(t)
	one := w.peer(t, "hsm-1")
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{RaftProtocol}}
	if c, err := tls.Dial("tcp", one.Addr().String(), cfg); err == nil {
		defer c.Close()
	}
	wantNamed(t, <-one.refusals, ReasonCertificate)
}

func TestAStreamIsNotMadeOfAKeyThatIsNotItsNodes(t *testing.T) {
	w := fleetOf(t)
	for name, p := range map[string]Peer{
		"another node's key": {Node: "hsm-1", Role: role, Key: w.key(t, "hsm-2", role), Bundle: w.Bundle},
		"no bundle":          {Node: "hsm-1", Role: role, Key: w.key(t, "hsm-1", role), Bundle: []byte("{}")},
	} {
		if s, err := NewStream(nil, p); err == nil || s != nil || strings.Contains(err.Error(), "panic") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
