package session

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// elsewhere is a listener whose connections come from the addresses of a list, in turn.
type elsewhere struct {
	net.Listener
	mu   sync.Mutex
	from []string
}

type from struct {
	net.Conn
	at net.Addr
}

func (f *from) RemoteAddr() net.Addr { return f.at }

func (l *elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.from[0]
	l.from = l.from[1:]
	return &from{c, &net.TCPAddr{IP: net.ParseIP(at), Port: 1}}, nil
}

// silentAndOne has one address open a connection too many, silent all of them, and
// then listens for one from another address.
func silentAndOne(t *testing.T) *elsewhere {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &elsewhere{Listener: l, from: append(slices.Repeat([]string{"192.0.2.1"}, aShare+1), "192.0.2.2")}
}

// aShare is a quarter of the connections that a service has at once.
const aShare = 64

// crowd opens all of the silent ones: the last is closed at once, unanswered.
func crowd(t *testing.T, at string) {
	t.Helper()
	var last net.Conn
	for range aShare + 1 {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		last = c
	}
	// Longer than a handshake may take would be no answer either.
	if err := last.SetReadDeadline(time.Now().Add(patience / 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("one more of one address than its share: %v", err)
	}
}

func TestOneClientLeavesRoomForOthers(t *testing.T) {
	w, l := fleetOf(t), silentAndOne(t)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.server(t, "hsm-1").Serve(ctx, l, func(_ context.Context, c *Conn) { _, _ = io.Copy(c, c) }, nil)
	}()
	crowd(t, l.Addr().String())
	s, err := w.device(t).Dial(ctx, l.Addr().String())
	if err != nil {
		t.Errorf("another client finds no room: %v", err)
	} else {
		s.Close()
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOneClientLeavesRoomForTheOtherNodes(t *testing.T) {
	w, l := fleetOf(t), silentAndOne(t)
	one, err := NewStream(l, Peer{Node: "hsm-1", Role: role, Key: w.key(t, "hsm-1", role), Bundle: w.Bundle})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	crowd(t, l.Addr().String())
	c, err := w.peer(t, "hsm-2").Dial(raft.ServerAddress(l.Addr().String()), patience)
	if err != nil {
		t.Fatalf("another node finds no room: %v", err)
	}
	c.Close()
}
