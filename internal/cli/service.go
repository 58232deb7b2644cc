package cli

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Service has the flags of every command that runs until it is stopped.
type Service struct {
	metrics, logFormat string
	access             bool
}

// Flags adds them to a command. One that answers nobody has no requests to log.
func (s *Service) Flags(c *cobra.Command, answers bool) {
	f := c.Flags()
	f.StringVar(&s.metrics, "metrics", "", "the `address` of /metrics (Prometheus) and /healthz, for those who run the service; off unless given")
	f.StringVar(&s.logFormat, "log-format", "text", "what is logged to standard error: text (key=value) or json, a line each")
	if answers {
		f.BoolVar(&s.access, "log-requests", false, "log every request, not only those that could not be answered")
	}
}

// Watch begins to watch a service. healthy says why it can't do its work; its text is
// public.
func (s *Service) Watch(a *App, name string, healthy func() error) (*serve.Watched, error) {
	var h slog.Handler
	switch s.logFormat {
	case "text":
		h = slog.NewTextHandler(a.Stderr, nil)
	case "json":
		h = slog.NewJSONHandler(a.Stderr, nil)
	default:
		return nil, Usagef("", "--log-format is %q; it is text or json", s.logFormat)
	}
	w := serve.Watch(name, Version, slog.New(h), healthy)
	w.Access = s.access
	return w, nil
}

// Server has the flags of a service that anybody may ask, over HTTP or HTTPS.
type Server struct {
	Service
	listen, cert, key string
}

// Flags adds them to a command.
func (s *Server) Flags(c *cobra.Command, example string) {
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "", "`address` to serve at, such as "+example)
	f.StringVar(&s.cert, "tls-cert", "", "certificate chain `file` (PEM), to serve HTTPS")
	f.StringVar(&s.key, "tls-key", "", "private key `file` (PEM) of the certificate")
	s.Service.Flags(c, true)
}

// Given says whether there is an address to serve at.
func (s *Server) Given() bool { return s.listen != "" }

// Serve answers until it is stopped. said makes what is said of the addresses, of which
// that of metrics may be empty.
func (s *Server) Serve(a *App, ctx context.Context, w *serve.Watched, h http.Handler, said func(address, metrics string) (Result, [][2]string)) error {
	part := serve.Part{Handler: w.Handler(h)}
	scheme := "http://"
	switch {
	case (s.cert == "") != (s.key == ""):
		return Usagef("", "--tls-cert and --tls-key belong together")
	case s.cert != "":
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return Usage(strict.Errorf(s.cert, "%v", err))
		}
		scheme, part.TLS = "https://", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	}
	parts, metrics, err := s.Operator(ctx, w)
	if err != nil {
		return err
	}
	if part.Listener, err = serve.Listen(ctx, "listen", s.listen, true); err != nil {
		return Usage(err)
	}
	result, rows := said(scheme+part.Listener.Addr().String(), metrics)
	if metrics != "" {
		rows = append(rows, [2]string{"metrics", metrics})
	}
	return a.Serve(ctx, w, result, a.UI.Fields(rows), append(parts, part)...)
}

// Operator opens the listener for those who run the service. Without --metrics there is
// none, and no part.
func (s *Service) Operator(ctx context.Context, w *serve.Watched) (parts []serve.Part, address string, err error) {
	if s.metrics == "" {
		return nil, "", nil
	}
	l, err := serve.Listen(ctx, "metrics", s.metrics, true)
	if err != nil {
		return nil, "", Usage(err)
	}
	return []serve.Part{{Listener: l, Handler: w.Operator()}}, "http://" + l.Addr().String() + "/metrics", nil
}

// Serve says where the service answers, once everything listens, and serves until it is
// stopped. What it says goes to standard output, what it logs to standard error.
func (a *App) Serve(ctx context.Context, w *serve.Watched, said Result, text string, parts ...serve.Part) error {
	if err := a.Emit(said, text); err != nil {
		for _, p := range parts {
			p.Listener.Close()
		}
		return err
	}
	w.Log.Info("started")
	err := serve.Run(ctx, w.Log, parts...)
	w.Log.Info("stopped")
	return err
}
