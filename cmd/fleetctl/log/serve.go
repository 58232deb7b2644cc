//go:build cgo && unix

package log

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/internal/cli"
)

type serveJSON struct {
	Log    string `strict:"log"`
	Listen string `strict:"listen"`
}

func serveCmd(a *cli.App) *cobra.Command {
	var listen, cert, key string
	c := cli.Command("serve LOG", "Serve a log's directory over HTTP, to monitors and verifiers",
		`Serve answers GET for what C2SP tlog-tiles has in a log (checkpoint, tiles,
entry bundles) and for nothing else: no state, no temporary file, nothing that
a symbolic link outside of the directory leads to. It needs no key and writes
nothing; any static file server can do the same.`,
		"  fleetctl log serve log --listen 127.0.0.1:8080",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "listen"); err != nil {
				return err
			}
			h, err := tiled.Handler(args[0])
			if err != nil {
				return cli.Usage(cli.Missing(err))
			}
			return serve(cmd.Context(), listen, cert, key, h, func(address string) error {
				return a.Emit(&serveJSON{args[0], address}, a.UI.Fields([][2]string{{"log", args[0]}, {"listening", address}}))
			})
		})
	c.Flags().StringVar(&listen, "listen", "", "`address` to serve at, such as 127.0.0.1:8080")
	serveFlags(c, &cert, &key)
	return c
}
