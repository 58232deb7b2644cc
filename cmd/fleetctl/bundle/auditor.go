package bundle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// auditor is a third party's live service, with the API of Cloudflare's.
type auditor struct{ url, cert, certKey, servers string }

func (o *auditor) flags(c *cobra.Command, what string) {
	f := c.Flags()
	f.StringVar(&o.url, "url", "", what)
	f.StringVar(&o.cert, "cert", "", "the `file` (PEM) of the certificate that we show the server, its chain after it")
	f.StringVar(&o.certKey, "cert-key", "", "the certificate's private key `file` (PEM)")
	f.StringVar(&o.servers, "server-ca", "", "the `file` (PEM) of authorities that vouch for the server (default: the system's)")
}

// client asks about a plan's namespace.
func (o *auditor) client(a *cli.App, namespace string) (*fetch.Client, error) {
	c, err := fetch.New(o.url, namespace, "fleetctl/"+cli.Version, 1)
	if err != nil {
		return nil, cli.Usagef("", "--url: %v", err)
	}
	if (o.cert == "") != (o.certKey == "") {
		return nil, cli.Usagef("", "--cert and --cert-key belong together")
	}
	var cert *tls.Certificate
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.certKey)
		if err != nil {
			return nil, cli.Usage(strict.Errorf(o.cert, "%v", err))
		}
		cert = &pair
	}
	var pool *x509.CertPool
	if o.servers != "" {
		pem, err := cli.ReadFile(o.servers)
		if err != nil {
			return nil, err
		}
		if pool = x509.NewCertPool(); !pool.AppendCertsFromPEM(pem) {
			return nil, cli.Usage(strict.Errorf(o.servers, "has no certificate in it"))
		}
	}
	c.Identify(cert, pool)
	c.Again = func(err error, in time.Duration) {
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("no answer, asking again in %s: %v", strict.FormatDuration(in), err)))
	}
	return c, nil
}

// served is the statement about a plan's epoch that the service has.
func (o *auditor) served(ctx context.Context, a *cli.App, p *ceremony.Plan) (*bundle.Response, error) {
	c, err := o.client(a, p.Namespace)
	if err != nil {
		return nil, err
	}
	data, err := c.Served(ctx, p.Epoch)
	if errors.Is(err, fetch.ErrNone) {
		return nil, cli.Exit(cli.ExitPending, strict.Errorf(c.Address(p.Epoch), "the auditor has no statement of epoch %d yet", p.Epoch).
			WithHint("ask again later, or have it signed with\nfleetctl bundle submit"))
	}
	if err != nil {
		return nil, err
	}
	r, err := bundle.ParseAnswer(c.Address(p.Epoch), data, p.PartyKeys())
	return r, cli.Wrong(err)
}
