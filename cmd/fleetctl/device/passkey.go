//go:build cgo && unix

package device

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/passkey"
)

// maxPasskey is the most that a passkey's record can have.
const maxPasskey = 8 << 10

// passkeyJSON is what came of a key that was opened with a passkey: no fleet knows of it.
type passkeyJSON struct {
	Notice  string   `strict:"notice"`
	Account string   `strict:"account"`
	Key     [32]byte `strict:"key_sha256,hex"`
	KeyFile string   `strict:"key_file"`
}

// Format is what the JSON says that it is.
func (*passkeyJSON) Format() string { return "fleetctl device passkey result v1" }

// shown has a person open a passkey's page in their browser.
func shown(a *cli.App) passkey.Visit {
	return func(_ context.Context, url string) error {
		// The address stands alone: broken over lines it can't be copied.
		a.UI.Say(a.UI.Talk.Line("open this address in the browser that has the passkey, on this computer:"), url+"\n")
		return nil
	}
}

// keepUnderPasskey seals a key under a new passkey, and writes the record.
func (o *registerOptions) keepUnderPasskey(ctx context.Context, a *cli.App, key []byte) error {
	r, err := passkey.Create(ctx, a.Random, o.account, key, shown(a))
	if err != nil {
		return cli.Exit(cli.ExitFailed, err)
	}
	return cli.WritePrivate(o.passkeyOut, r.Raw())
}

// runPasskey opens a key with a passkey. It asks no node.
func (o *recoverOptions) runPasskey(a *cli.App, cmd *cobra.Command) error {
	for _, name := range []string{"code", "password", "account", "site", "node", "policy", "state"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return cli.Usagef("", "--passkey asks no fleet: leave out --%s", name)
		}
	}
	if err := cli.Required(cmd, "key-out"); err != nil {
		return err
	}
	if err := cli.Free(o.keyOut); err != nil {
		return err
	}
	data, err := cli.ReadNamed(o.passkey, maxPasskey)
	if err != nil {
		return err
	}
	record, err := passkey.ParseRecord(o.passkey, data)
	if err != nil {
		return cli.Usage(err)
	}
	ctx, stop := o.timed(cmd.Context())
	defer stop()
	key, err := passkey.Recover(ctx, a.Random, record, shown(a))
	if err != nil {
		return cli.Wrong(err)
	}
	defer clear(key)
	if err := cli.WritePrivate(o.keyOut, []byte(hex.EncodeToString(key)+"\n")); err != nil {
		return err
	}
	r := &passkeyJSON{notice, record.Account, sha256.Sum256(key), o.keyOut}
	return a.Emit(r, a.UI.Fields([][2]string{{"recovered", r.Account + ", by its passkey"}, {"key", "SHA-256 " + hex.EncodeToString(r.Key[:])}, {"key file", r.KeyFile}, {"notice", notice}}))
}
