package serve

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

// failing is a listener whose Accept fails by these errors, in turn, and then works.
type failing struct {
	net.Listener
	by []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.by) == 0 {
		return f.Listener.Accept()
	}
	err := f.by[0]
	f.by = f.by[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

func TestAListenerOutlivesWhatPasses(t *testing.T) {
	inner := must(net.Listen("tcp", "127.0.0.1:0"))
	defer inner.Close()
	why := []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS}
	l := limit(&failing{inner, append([]error{}, why...)}, 1) // what failed takes up no room
	c := must(net.Dial("tcp", inner.Addr().String()))
	defer c.Close()
	var told []error
	got, err := Accept(t.Context(), l, func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
	if len(told) != len(why) {
		t.Fatalf("told of %v", told)
	}
	for i, err := range told {
		if !errors.Is(err, why[i]) {
			t.Errorf("told of %v; it was %v", err, why[i])
		}
	}
}

func TestAListenerThatIsBrokenOrClosedIsNotWaitedFor(t *testing.T) {
	inner := must(net.Listen("tcp", "127.0.0.1:0"))
	told := func(err error) { t.Errorf("told of %v, as if it passed", err) }
	for _, why := range []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		if c, err := Accept(t.Context(), &failing{inner, []error{why}}, told); !errors.Is(err, why) {
			t.Errorf("%v: %v, %v", why, c, err)
		}
	}
	inner.Close()
	if _, err := Accept(t.Context(), limit(inner, 1), told); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// endless is a listener that never has a file descriptor.
type endless struct{ net.Listener }

func (endless) Accept() (net.Conn, error) { return nil, syscall.EMFILE }

func TestWaitingForAConnectionEndsWithItsService(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	tried := 0
	go func() {
		_, err := Accept(ctx, endless{}, func(error) {
			if tried++; tried == 3 {
				end()
			}
		})
		ended <- err
	}()
	if !await.Happens(func() bool { return len(ended) == 1 }) {
		t.Fatal("it still waits")
	}
	if err := <-ended; !errors.Is(err, syscall.EMFILE) || tried != 3 {
		t.Errorf("%v, after %d tries", err, tried)
	}
}
