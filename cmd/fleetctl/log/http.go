package log

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func serveFlags(c *cobra.Command, cert, key *string) {
	c.Flags().StringVar(cert, "tls-cert", "", "certificate chain `file` (PEM), to serve HTTPS")
	c.Flags().StringVar(key, "tls-key", "", "private key `file` (PEM) of the certificate")
}

// serve answers until it is interrupted, and then ends what it has begun.
func serve(ctx context.Context, listen, cert, key string, h http.Handler, ready func(address string) error) error {
	if (cert == "") != (key == "") {
		return cli.Usagef("", "--tls-cert and --tls-key belong together")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return cli.Usage(strict.Errorf("", "--listen %s: %v", listen, err))
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	scheme := "http://"
	if cert != "" {
		scheme = "https://"
	}
	if err := ready(scheme + l.Addr().String()); err != nil {
		l.Close()
		return err
	}
	ended := make(chan error, 1)
	go func() {
		if cert != "" {
			ended <- s.ServeTLS(l, filepath.Clean(cert), filepath.Clean(key))
			return
		}
		ended <- s.Serve(l)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.Shutdown(end)
}
