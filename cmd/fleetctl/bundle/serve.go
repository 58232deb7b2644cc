package bundle

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/answer"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type serveOptions struct {
	cli.Server
	policy cli.DevicePolicy
	proof  string
	state  string
	reread time.Duration
}

type servedJSON struct {
	Listen   string   `strict:"listen"`
	Metrics  string   `strict:"metrics,optional"`
	Fleet    string   `strict:"fleet"`
	Epoch    uint64   `strict:"epoch"`
	Artifact [32]byte `strict:"artifact,hex"`
}

// Format is what the JSON says that it is.
func (*servedJSON) Format() string { return "fleetctl bundle serve result v1" }

func serveCmd(a *cli.App) *cobra.Command {
	o := &serveOptions{}
	c := cli.Command("serve BUNDLE", "Hand a fleet's bundle and its proof to devices over HTTP",
		`Serve answers as a node of the fleet does before there is a session: an index of
what is current at /.well-known/fleetctl-bundle, bundle and proof at
/sha256/DIGEST, and /healthz. It needs no key: what it hands out is public, and
each device checks it. It refuses to hand out what a device would refuse under
--policy.

A proof gets old while a bundle lives for years: the files are read again every
--reread, and a newer proof, or a newer epoch, takes the old one's place if
devices would take it. /healthz fails once they wouldn't.

With --state it remembers what it handed out, in a file a fleet, and once it is
started again it still hands out nothing that is older, void, or of a fleet that
is retired.`,
		`  fleetctl bundle serve bundle.json --policy device.json --listen 127.0.0.1:8080
  fleetctl bundle serve bundle.json --policy policy.yaml --max-age 168h --listen 0.0.0.0:443 --tls-cert node.pem --tls-key node.key`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "policy", "listen"); err != nil {
				return err
			}
			return o.run(a, cmd, args[0])
		})
	f := c.Flags()
	o.policy.Flags(f)
	f.StringVar(&o.proof, "proof", "", "the log proof `file` (default: BUNDLE.tlog-proof)")
	f.StringVar(&o.state, "state", "", "the `folder` of what was handed out, by fleet (default: it is forgotten at the end)")
	cli.Duration(f, &o.reread, "reread", time.Minute, "how often the files are read again")
	o.Server.Flags(c, "127.0.0.1:8080")
	return c
}

func (o *serveOptions) run(a *cli.App, cmd *cobra.Command, file string) error {
	p, err := o.policy.Read(cmd, device.Pins{})
	if err != nil {
		return err
	}
	if o.reread < time.Second {
		return cli.Usagef("", "--reread is %s; it is at least one second", strict.FormatDuration(o.reread))
	}
	if o.proof == "" {
		o.proof = file + ".tlog-proof"
	}
	s, err := answer.New(file, o.proof, o.state, p, a.Now)
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r):
		return cli.Wrong(err)
	case err != nil:
		return cli.Usage(cli.Missing(err))
	}
	w, err := o.Watch(a, "bundle", s.Healthy)
	if err != nil {
		return err
	}
	w.Route = answer.Route
	measure(w, s)
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	go o.again(ctx, w, s)
	return o.Serve(a, ctx, w, s, func(address, metrics string) (cli.Result, [][2]string) {
		x := s.Current()
		return &servedJSON{address, metrics, x.Fleet, x.Epoch, x.Digest},
			[][2]string{{"bundle", file}, {"fleet", x.Fleet}, {"listening", address + answer.WellKnown}}
	})
}

// again reads the files again until the service ends.
func (o *serveOptions) again(ctx context.Context, w *serve.Watched, s *answer.Server) {
	for tick := time.NewTicker(o.reread); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		switch changed, err := s.Reread(); {
		case err != nil:
			w.Log.Warn("the files can't be handed out; what was read before is", "error", err)
		case changed:
			w.Log.Info("another bundle or proof is handed out", "epoch", s.Current().Epoch)
		}
	}
}

func measure(w *serve.Watched, s *answer.Server) {
	epoch := w.Metrics.Gauge("fleetctl_bundle_epoch", "Epoch of the bundle that is handed out.")
	age := w.Metrics.Gauge("fleetctl_bundle_witnessed_age_seconds", "Time since a quorum of witnesses had seen the bundle that is handed out; -1 where none counts.")
	w.Metrics.OnRead(func() {
		epoch.Set(float64(s.Current().Epoch))
		age.Set(max(-1, s.Age().Seconds()))
	})
}
