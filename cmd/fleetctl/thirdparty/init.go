package thirdparty

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type initJSON struct {
	Ledger string   `strict:"ledger"`
	Guard  string   `strict:"guard"`
	Key    [32]byte `strict:"key,base64"`
}

// Format is what the JSON says that it is.
func (*initJSON) Format() string { return "fleetctl thirdparty init result v1" }

func initCmd(a *cli.App) *cobra.Command {
	var key, guard string
	c := cli.Command("init LEDGER", "Begin the ledger of a new key, and its guard",
		`Init begins the ledger of a key that never signed: an empty file, and the guard
that ties it to the key. A key has one ledger for its whole life. Whoever begins
a second one lets it sign an epoch twice, which is why signing begins none: a
mistyped --ledger is an error.

Init refuses if either file is there, and if a ledger or guard of the same key,
under any name, is in the folder of the ledger, of the guard, or of the public
key's file. It can't see other folders, other machines, and ledgers that are
lost.`,
		`  fleetctl thirdparty init ledger.jsonl --public-key thirdparty.pub
  fleetctl thirdparty init ledger.jsonl --public-key thirdparty.pub --guard /media/stick/guard`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "public-key"); err != nil {
				return err
			}
			raw, err := ledgerKey(key)
			if err != nil {
				return err
			}
			if guard == "" {
				guard = thirdparty.GuardPath(args[0])
			}
			var look []string
			if hasFile(key) {
				look = append(look, filepath.Dir(key))
			}
			err = thirdparty.InitLedger(args[0], guard, raw, look...)
			if e := (*strict.Error)(nil); errors.As(err, &e) {
				return cli.Usage(err)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return cli.Usage(cli.Missing(err))
			}
			if err != nil {
				return err // a full disk, missing rights
			}
			next := "fleetctl thirdparty inspect REQUEST --policy POLICY --ledger " + words.ShellWord(args[0])
			if guard != thirdparty.GuardPath(args[0]) {
				next += " --guard " + words.ShellWord(guard)
			}
			return a.Emit(&initJSON{args[0], guard, raw}, a.UI.Fields([][2]string{
				{"ledger", args[0]}, {"guard", guard}, {"key", base64.StdEncoding.EncodeToString(raw[:])},
				{"keep", "both, for as long as the key is used: it signs with this ledger and with no other"},
				{"next", "with a request:"}, {"", next + " --public-key " + words.ShellWord(key)},
			}))
		})
	c.Flags().StringVar(&key, "public-key", "", "the ledger's `key`: base64, a file of it, or an OpenSSH .pub file")
	c.Flags().StringVar(&guard, "guard", "", "the guard's new `file`, best on another disk (default: LEDGER.guard)")
	return c
}
