// Package serve is what every service of the program has: listeners that a slow
// client can't exhaust, a log line for what went wrong, a health check, metrics,
// and an end that lets answers that were begun be finished.
package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	// maxOpen is how many connections a listener holds at once.
	maxOpen = 256
	// ending is how long answers that were begun may take after the signal.
	ending = 5 * time.Second
)

// Part is a listener and what answers there.
type Part struct {
	Listener net.Listener
	Handler  http.Handler
	TLS      *tls.Config   // nil: plain HTTP
	Slowest  time.Duration // for a request, and again for its answer; one minute
}

// Listen opens an address. Unless anywhere is set it must be of this machine.
func Listen(ctx context.Context, flag, address string, anywhere bool) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, strict.Errorf("", "--%s %s is no address: host and port are wanted, such as 127.0.0.1:8080", flag, address)
	}
	if !anywhere && !loopback(address) {
		return nil, strict.Errorf("", "--%s %s is reachable from other machines", flag, address).
			WithHint("a proxy with TLS can stand before it; --anywhere lets it be reached as it is")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, strict.Errorf("", "--%s %s: %v", flag, address, err)
	}
	return Bounded(l), nil
}

// loopback says whether an address is reachable from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Run serves all parts until the context ends or one of them fails. Then it ends
// the others as well and waits for them.
func Run(ctx context.Context, log *slog.Logger, parts ...Part) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, len(parts))
	for _, p := range parts {
		go func() {
			defer stop()
			done <- p.run(ctx, log)
		}()
	}
	for range parts {
		err = cmp.Or(err, <-done)
	}
	return err
}

func (p *Part) run(ctx context.Context, log *slog.Logger) error {
	slowest := cmp.Or(p.Slowest, time.Minute)
	s := &http.Server{
		Handler: p.Handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: slowest, WriteTimeout: slowest,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		// Requests in work end by themselves, within the time that ending leaves.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		// What clients do wrong below HTTP is no news: scanners would fill the log.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	l := p.Listener
	if p.TLS != nil {
		l = tls.NewListener(l, p.TLS)
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
		defer cancel()
		stopped <- s.Shutdown(end)
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	err := <-stopped
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("answers that were begun were cut off", "address", p.Listener.Addr().String(), "after", strict.FormatDuration(ending))
		return s.Close()
	}
	return err
}
