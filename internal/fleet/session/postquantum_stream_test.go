package session

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestNodesOfABundleThatDemandsItSignTheirStreamToo(t *testing.T) {
	w := hybrid(t)
	one, two := w.peer(t, "hsm-1"), w.peer(t, "hsm-2")
	got := make(chan net.Conn, 1)
	go func() {
		if c, err := two.Accept(); err == nil {
			got <- c
		}
	}()
	c, err := one.Dial(two.at(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := <-got
	defer o.Close()
	go func() { _, _ = c.Write([]byte("ping")) }()
	word := make([]byte, 4)
	if _, err := io.ReadFull(o, word); err != nil || string(word) != "ping" || o.(*Conn).Node() != "hsm-1" || c.(*Conn).Node() != "hsm-2" {
		t.Errorf("%s hears %q of %s: %v", c.(*Conn).Node(), word, o.(*Conn).Node(), err)
	}
}

// TestAStreamRefusesWhoeverHasTheClassicalKeyAlone: another node's key, or none at all,
// in the place of the one that the bundle has of this node.
func TestAStreamRefusesWhoeverHasTheClassicalKeyAlone(t *testing.T) {
	w := hybrid(t)
	for what, second := range map[string]*PostQuantum{
		"another node's key signs":    w.second(t, "hsm-3", rolePQ),
		"its key of another use does": {rolePQ, w.second(t, "hsm-1", rolePQ).public, w.signer(t, "hsm-1", rolePQ).For(keys.ForTest)},
	} {
		t.Run(what, func(t *testing.T) {
			two := w.peer(t, "hsm-2")
			one := clone(w.peer(t, "hsm-1").Stream)
			one.second = second
			c, err := one.Dial(two.at(), 10*time.Second)
			if err == nil {
				c.Close()
			}
			wantNamed(t, <-two.refusals, ReasonPostQuantum)
		})
	}
}

func TestAStreamIsNotOpenBeforeTheOtherSideHasSigned(t *testing.T) {
	w := hybrid(t)
	two := w.peer(t, "hsm-2")
	one := clone(w.peer(t, "hsm-1").Stream)
	one.second = nil
	c, err := one.Dial(two.at(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*Conn).tls.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-two.refusals; !strings.Contains(err.Error(), "node hsm-1 has not signed") {
		t.Error(err)
	}
}

// TestANodeIsNotLedToTakeItselfForAnother: whoever has broken a node's classical key says
// to it what it says itself.
func TestANodeIsNotLedToTakeItselfForAnother(t *testing.T) {
	w := hybrid(t)
	one := w.peer(t, "hsm-1")
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		cfg := config(RaftProtocol, func(tls.ConnectionState) error { return nil })
		cfg.Certificates, cfg.ClientAuth = []tls.Certificate{one.cert}, tls.RequireAnyClientCert
		c := tls.Server(conn, cfg)
		_, _ = io.Copy(c, c)
	}()
	_, err := one.Dial(raft.ServerAddress(l.Addr().String()), 10*time.Second)
	wantNamed(t, err, ReasonPostQuantum)
}
