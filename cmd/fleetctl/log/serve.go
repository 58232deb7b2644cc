//go:build cgo && unix

package log

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/serve"
)

type serveJSON struct {
	Log     string `strict:"log"`
	Listen  string `strict:"listen"`
	Metrics string `strict:"metrics,optional"`
}

// Format is what the JSON says that it is.
func (*serveJSON) Format() string { return "fleetctl log serve result v1" }

func serveCmd(a *cli.App) *cobra.Command {
	var o cli.Server
	c := cli.Command("serve LOG", "Serve a log's directory over HTTP, to monitors and verifiers",
		`Serve answers GET for what C2SP tlog-tiles has in a log (checkpoint, tiles,
entry bundles), for /healthz, and for nothing else: no state, no temporary
file, nothing that a symbolic link outside of the directory leads to. It needs
no key and writes nothing; any static file server can do the same.`,
		`  fleetctl log serve log --listen 127.0.0.1:8080
  fleetctl log serve log --listen 0.0.0.0:443 --tls-cert log.pem --tls-key log.key --metrics 127.0.0.1:9180 --log-format json`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "listen"); err != nil {
				return err
			}
			h, err := tiled.Handler(args[0])
			if err != nil {
				return cli.Usage(cli.Missing(err))
			}
			w, err := o.Watch(a, "log", func() error { return logHealth(h) })
			if err != nil {
				return err
			}
			w.Route = route
			measureLog(w, h)
			return o.Serve(a, cmd.Context(), w, h, func(address, metrics string) (cli.Result, [][2]string) {
				return &serveJSON{args[0], address, metrics}, [][2]string{{"log", args[0]}, {"listening", address}}
			})
		})
	o.Flags(c, "127.0.0.1:8080")
	return c
}

// logHealth says what keeps readers from reading the log.
func logHealth(h *tiled.Server) error {
	switch _, err := h.Checkpoint(); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no checkpoint")
	}
	return errors.New("the checkpoint can't be read")
}

func measureLog(w *serve.Watched, h *tiled.Server) {
	size := w.Metrics.Gauge("fleetctl_log_entries", "Entries in the tree of the checkpoint that is served.")
	signed := w.Metrics.Gauge("fleetctl_log_checkpoint_signatures", "Signatures below the checkpoint that is served: the log's and those of witnesses.")
	w.Metrics.OnRead(func() {
		if c, err := h.Checkpoint(); err == nil {
			size.Set(float64(c.Size))
			signed.Set(float64(len(c.Signatures)))
		}
	})
}
