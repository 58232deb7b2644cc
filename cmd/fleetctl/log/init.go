//go:build cgo && unix

package log

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
)

const guardHelp = "the guard's `directory` (default: LOG.guard)"

type logJSON struct {
	Log  string `strict:"log"`
	VKey string `strict:"vkey"`
}

// Format is what the JSON says that it is.
func (*logJSON) Format() string { return "fleetctl log init result v1" }

func initCmd(a *cli.App) *cobra.Command {
	var origin, key, kind, policy, guard string
	c := cli.Command("init LOG", "Make a transparency log in a new directory",
		`Init makes an empty log (C2SP tlog-tiles) and, beside it, its guard: the last
checkpoint that the log's key signed, against which everything is checked
before it signs again. Keep the guard on other media than the log's backups. A
key file that doesn't exist is made. With --key-type ml-dsa-44 the log signs
post-quantum (C2SP's type 0x06).`,
		"  fleetctl log init log --origin log.acme.example/fleet --key log.pem --policy-out log.policy",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "origin", "key"); err != nil {
				return err
			}
			if err := cli.Free(policy); err != nil {
				return err
			}
			of, err := signer.LogKeyKind(kind)
			if err != nil {
				return err
			}
			if err := signer.MakeFile(a, key, of); err != nil {
				return err
			}
			s, vkey, err := openLogSigner(a, key, origin, of)
			if err != nil {
				return err
			}
			defer s()
			if err := publish.Init(args[0], vkey.vkey, publish.Options{Guard: guard}); err != nil {
				return err
			}
			text := fmt.Sprintf("log %s\nquorum none\n", vkey.vkey)
			if policy != "" {
				if err := cli.WriteNew(policy, []byte(text)); err != nil {
					return err
				}
			}
			return a.Emit(&logJSON{Log: args[0], VKey: vkey.vkey}, a.UI.Fields([][2]string{
				{"log", args[0]}, {"guard", cmp.Or(guard, strings.TrimRight(args[0], "/")+".guard")}, {"vkey", vkey.vkey}, {"policy", policy},
			}))
		})
	f := c.Flags()
	f.StringVar(&origin, "origin", "", "the log's `name`, such as log.acme.example/fleet")
	f.StringVar(&key, "key", "", signer.Help)
	signer.KeyTypeFlag(c, &kind)
	f.StringVar(&guard, "guard", "", guardHelp)
	f.StringVar(&policy, "policy-out", "", "write the log's policy, without witnesses, to this new `file`")
	return c
}

type logSigner struct {
	note.Signer
	vkey string
}

// openLogSigner opens a log's key; one in a file is of this kind.
func openLogSigner(a *cli.App, ref, origin string, kind keys.Algorithm) (close func(), s *logSigner, err error) {
	k, err := signer.OpenOf(a, ref, kind)
	if err != nil {
		return nil, nil, err
	}
	key, err := auditlog.VerifierOf(origin, k.Public, false)
	if err != nil {
		k.Close()
		return nil, nil, cli.Usage(err)
	}
	return k.Close, &logSigner{tiled.SignerOf(key, k.For(keys.ForLog)), key.String()}, nil
}
