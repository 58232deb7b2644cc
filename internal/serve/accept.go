package serve

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	firstPause = 5 * time.Millisecond
	mostPause  = time.Second
)

// Accept takes a listener's next connection, as net/http does: an error that passes, such
// as that there is no file descriptor left, is told of and doesn't end the service. It
// tries again after a pause, which doubles up to a second, until ctx ends. What it gives
// back as an error is of a listener that takes no connections any more.
func Accept(ctx context.Context, l net.Listener, told func(error)) (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		c, err := l.Accept()
		if err == nil || !passes(err) {
			return c, err
		}
		if told != nil {
			told(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// passing are the errors of accept(2) that are of one connection, or of a computer that
// has too little of something now. Go's own Temporary has fewer of them.
var passing = []error{
	syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EINTR, syscall.EAGAIN,
}

func passes(err error) bool {
	for _, p := range passing {
		if errors.Is(err, p) {
			return true
		}
	}
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
