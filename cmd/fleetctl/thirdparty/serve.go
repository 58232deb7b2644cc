package thirdparty

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/bundle/thirdparty/service"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type serveOptions struct {
	cli.Service
	policy, ledger, guard, key, listen    string
	submit, queue, cert, certKey, clients string
	anywhere                              bool
}

type servingJSON struct {
	Listen  string `strict:"listen"`
	Submit  string `strict:"submit,optional"`
	Queue   string `strict:"queue,optional"`
	Metrics string `strict:"metrics,optional"`
}

// Format is what the JSON says that it is.
func (*servingJSON) Format() string { return "fleetctl thirdparty serve result v1" }

func serveCmd(a *cli.App) *cobra.Command {
	var o serveOptions
	c := cli.Command("serve", "Let others read the ledger, with the API of Cloudflare's auditor",
		`Serve answers as Cloudflare's auditor does (info, namespaces, audits), from the
ledger as it grows, until it is interrupted. It has no key and can't sign. It
listens on this machine only; put a TLS proxy before it, or say --anywhere. A
ledger that lacks what it served before, or what the guard has seen, is not
served.

With --submit it also takes requests, over TLS from clients whose certificate
--clients vouches for, into the folder --queue, one for each epoch. A person
looks at them with thirdparty queue and signs with thirdparty sign. There it
also takes an epoch's digest, as Cloudflare's auditor does. A digest alone is
never signed: it waits for its request, and is answered 202 until the request
is signed, and then with the statement.`,
		`  fleetctl thirdparty serve --policy thirdparty.yaml --ledger ledger.jsonl --public-key thirdparty.pub
  fleetctl thirdparty serve --policy thirdparty.yaml --ledger ledger.jsonl --public-key thirdparty.pub --submit 0.0.0.0:8443 --queue queue --cert server.pem --cert-key server.key --clients operator-ca.pem`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "policy", "ledger", "public-key"); err != nil {
				return err
			}
			return serveLedger(a, cmd.Context(), &o)
		})
	f := c.Flags()
	f.StringVar(&o.policy, "policy", "", "the third party's own policy `file`: its namespaces are served")
	f.StringVar(&o.ledger, "ledger", "", "the `file` of everything it signed")
	f.StringVar(&o.guard, "guard", "", "the ledger's guard `file`, where it is here (default: LEDGER.guard)")
	f.StringVar(&o.key, "public-key", "", "the ledger's `key`: base64, a file of it, or an OpenSSH .pub file")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "the `address` that answers; port 0 takes a free one")
	f.BoolVar(&o.anywhere, "anywhere", false, "let --listen be reachable from other machines, without TLS")
	f.StringVar(&o.submit, "submit", "", "the `address` that takes requests, over TLS with client certificates")
	f.StringVar(&o.queue, "queue", "", "the `folder` of requests that wait")
	f.StringVar(&o.cert, "cert", "", "the server's certificate `file` (PEM), its chain after it")
	f.StringVar(&o.certKey, "cert-key", "", "the certificate's private key `file` (PEM)")
	o.Flags(c, true)
	f.StringVar(&o.clients, "clients", "", "the `file` (PEM) of authorities that vouch for clients")
	return c
}

func serveLedger(a *cli.App, ctx context.Context, o *serveOptions) error {
	data, err := cli.ReadFile(o.policy)
	if err != nil {
		return err
	}
	policy, err := thirdparty.ParsePolicy(o.policy, data)
	if err != nil {
		return cli.Usage(err)
	}
	_, der, err := signer.KeyFlag("public-key", "="+o.key)
	if err != nil {
		return err
	}
	key, err := signer.RawEd25519(der)
	if err != nil {
		return cli.Usagef("", "--public-key %v", err)
	}
	var s *service.Service
	w, err := o.Watch(a, "thirdparty", func() error { return s.Healthy() })
	if err != nil {
		return err
	}
	if o.guard != "" && !hasFile(o.guard) {
		return cli.Usagef("leave --guard out where the guard isn't here", "%s: no such file", o.guard)
	}
	if s, err = service.New(service.Config{Ledger: o.ledger, Guard: o.guard, Key: key, Namespaces: policy.Namespaces, Log: w.Log}); err != nil {
		return cli.Wrong(err)
	}
	measureLedger(w, s)
	l, err := serve.Listen(ctx, "listen", o.listen, o.anywhere)
	if err != nil {
		return cli.Usage(err)
	}
	out := &servingJSON{Listen: "http://" + l.Addr().String()}
	rows := [][2]string{{"answers at", out.Listen}}
	parts := []serve.Part{{Listener: l, Handler: w.Handler(s.Handler())}}
	if o.submit != "" {
		in, err := submissions(ctx, o, policy, s, w)
		if err != nil {
			return err
		}
		out.Submit, out.Queue = "https://"+in.Listener.Addr().String(), o.queue
		rows = append(rows, [2]string{"takes requests at", out.Submit + "/requests"}, [2]string{"and digests at", out.Submit + "/namespaces/NAMESPACE/audits"}, [2]string{"queue", o.queue})
		parts = append(parts, *in)
	}
	operator, address, err := o.Operator(ctx, w)
	if err != nil {
		return err
	}
	if address != "" {
		out.Metrics = address
		rows = append(rows, [2]string{"metrics", address})
	}
	return a.Serve(ctx, w, out, a.UI.Fields(rows), append(parts, operator...)...)
}

func measureLedger(w *serve.Watched, s *service.Service) {
	statements := w.Metrics.Gauge("fleetctl_ledger_statements", "Statements in the ledger, by namespace.", "namespace")
	epoch := w.Metrics.Gauge("fleetctl_ledger_newest_epoch", "The newest epoch in the ledger, by namespace; 0 before the first.", "namespace")
	w.Metrics.OnRead(func() {
		s.Signed(func(ns string, n int, newest uint64) {
			statements.Set(float64(n), ns)
			epoch.Set(float64(newest), ns)
		})
	})
}

func measureQueue(w *serve.Watched, q *service.Queue) {
	waiting := w.Metrics.Gauge("fleetctl_queue_waiting", "Requests that wait for a person, and digests that were submitted, by kind.", "kind")
	w.Metrics.OnRead(func() {
		if requests, digests, err := q.Count(); err == nil {
			waiting.Set(float64(requests), "request")
			waiting.Set(float64(digests), "digest")
		}
	})
}

// submissions opens the queue and the listener that fills it.
func submissions(ctx context.Context, o *serveOptions, policy *thirdparty.Policy, s *service.Service, w *serve.Watched) (*serve.Part, error) {
	for _, f := range [][2]string{{"queue", o.queue}, {"cert", o.cert}, {"cert-key", o.certKey}, {"clients", o.clients}} {
		if f[1] == "" {
			return nil, cli.Usagef("see fleetctl thirdparty serve --help", "--submit needs --%s: requests are taken from known clients only", f[0])
		}
	}
	cert, err := tls.LoadX509KeyPair(o.cert, o.certKey)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(o.cert, "%v", err))
	}
	pem, err := cli.ReadFile(o.clients)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, cli.Usage(strict.Errorf(o.clients, "has no certificate in it"))
	}
	q, err := service.OpenQueue(o.queue, policy, w.Log)
	if err != nil {
		return nil, err
	}
	measureQueue(w, q)
	l, err := serve.Listen(ctx, "submit", o.submit, true)
	if err != nil {
		return nil, cli.Usage(err)
	}
	// A request is up to some megabytes, and comes over slow lines.
	return &serve.Part{Listener: l, Handler: w.Handler(q.Handler(s)), TLS: service.ServerTLS(cert, pool), Slowest: 2 * time.Minute}, nil
}
