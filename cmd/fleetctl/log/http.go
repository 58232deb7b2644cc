package log

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// server has the flags of a command that serves a log or a witness.
type server struct {
	cli.Service
	listen, cert, key string
}

func (s *server) flags(c *cobra.Command, example string) {
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "", "`address` to serve at, such as "+example)
	f.StringVar(&s.cert, "tls-cert", "", "certificate chain `file` (PEM), to serve HTTPS")
	f.StringVar(&s.key, "tls-key", "", "private key `file` (PEM) of the certificate")
	s.Flags(c, true)
}

// serve answers until it is stopped. said makes what is said of the addresses.
func (s *server) serve(a *cli.App, ctx context.Context, w *serve.Watched, h http.Handler, said func(address, metrics string) (any, [][2]string)) error {
	part := serve.Part{Handler: w.Handler(h)}
	scheme := "http://"
	switch {
	case (s.cert == "") != (s.key == ""):
		return cli.Usagef("", "--tls-cert and --tls-key belong together")
	case s.cert != "":
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return cli.Usage(strict.Errorf(s.cert, "%v", err))
		}
		scheme, part.TLS = "https://", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	}
	parts, metrics, err := s.Operator(ctx, w)
	if err != nil {
		return err
	}
	if part.Listener, err = serve.Listen(ctx, "listen", s.listen, true); err != nil {
		return cli.Usage(err)
	}
	result, rows := said(scheme+part.Listener.Addr().String(), metrics)
	if metrics != "" {
		rows = append(rows, [2]string{"metrics", metrics})
	}
	return a.Serve(ctx, w, result, a.UI.Fields(rows), append(parts, part)...)
}

// route names what is asked of a log.
func route(r *http.Request) string {
	switch path := r.URL.Path; {
	case path == "/checkpoint":
		return "checkpoint"
	case strings.HasPrefix(path, "/tile/entries/"):
		return "entries"
	case strings.HasPrefix(path, "/tile/"):
		return "tile"
	}
	return "other"
}
