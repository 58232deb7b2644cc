package session

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/await"
)

// tired is a listener whose Accept fails by these errors, in turn, before it works.
type tired struct {
	net.Listener
	mu sync.Mutex
	by []error
}

func (l *tired) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.by) == 0 {
		return l.Listener.Accept()
	}
	err := l.by[0]
	l.by = l.by[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

func tiredOf(t *testing.T, by ...error) *tired {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &tired{Listener: l, by: by}
}

func TestANodeOutlivesThatItCannotTakeAConnectionNow(t *testing.T) {
	w, l := fleetOf(t), tiredOf(t, syscall.EMFILE, syscall.ECONNABORTED)
	ctx, end := context.WithCancel(t.Context())
	ended, told := make(chan error, 1), make(chan error, 9)
	go func() {
		ended <- w.server(t, "hsm-1").Serve(ctx, l, func(context.Context, *Conn) {}, func(err error) { told <- err })
	}()
	s, err := w.device(t).Dial(ctx, l.Addr().String())
	if err != nil {
		t.Errorf("after it: %v", err)
	} else {
		s.Close()
	}
	for _, why := range []error{syscall.EMFILE, syscall.ECONNABORTED} {
		if err := <-told; !errors.Is(err, why) {
			t.Errorf("its operator is told of %v; it was %v", err, why)
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestANodeWhoseListenerIsBrokenEnds(t *testing.T) {
	w := fleetOf(t)
	err := w.server(t, "hsm-1").Serve(t.Context(), tiredOf(t, syscall.EBADF), func(context.Context, *Conn) {}, nil)
	if !errors.Is(err, syscall.EBADF) {
		t.Errorf("it ends with %v", err)
	}
}

// One that is in a session with a device doesn't wait until that device goes: it takes no
// other any more.
func TestANodeWhoseListenerIsBrokenEndsItsSessions(t *testing.T) {
	w := fleetOf(t)
	l := &breaking{Listener: tiredOf(t), broken: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		ended <- w.server(t, "hsm-1").Serve(t.Context(), l, func(_ context.Context, c *Conn) { _, _ = io.Copy(c, c) }, nil)
	}()
	s, err := w.device(t).Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	close(l.broken)
	if !await.Happens(func() bool { return len(ended) == 1 }) {
		t.Fatal("it goes on, and takes no device")
	}
	if err := <-ended; !errors.Is(err, syscall.EBADF) {
		t.Errorf("it ends with %v", err)
	}
}

// breaking is a listener that takes one connection, and is broken once it is told.
type breaking struct {
	net.Listener
	taken  bool
	broken chan struct{}
}

func (l *breaking) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.Listener.Accept()
	}
	<-l.broken
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EBADF)}
}

func TestAStreamOutlivesThatItCannotTakeAConnectionNow(t *testing.T) {
	w, l := fleetOf(t), tiredOf(t, syscall.ENFILE)
	s, err := NewStream(l, Peer{Node: "hsm-1", Role: role, Key: w.key(t, "hsm-1", role), Bundle: w.Bundle, Broken: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := w.peer(t, "hsm-2").Dial(raft.ServerAddress(l.Addr().String()), patience)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestAStreamWhoseListenerIsBrokenSaysSo(t *testing.T) {
	w := fleetOf(t)
	broken := make(chan error, 2)
	s, err := NewStream(tiredOf(t, syscall.EBADF), Peer{Node: "hsm-1", Role: role, Key: w.key(t, "hsm-1", role), Bundle: w.Bundle, Broken: func(err error) { broken <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-broken; !errors.Is(err, syscall.EBADF) {
		t.Errorf("it says %v", err)
	}
	if c, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("and gives %v, %v", c, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(broken) > 0 {
		t.Errorf("that it was closed it tells as %v", <-broken)
	}
}
