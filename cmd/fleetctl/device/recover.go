//go:build cgo && unix

package device

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/signer"
)

type recoverOptions struct {
	fleetOptions
	code, passkey, keyOut string
}

func recoverCmd(a *cli.App) *cobra.Command {
	o := &recoverOptions{}
	c := cli.Command("recover", "Get a key back from a reference fleet, by one guess",
		`Recover does what a new phone does: it opens a session with a node, judges its
bundle as device check does, and makes one guess with the recovery code, or with
--password. The fleet counts the guess before it answers it. A right one gives
the key back, and the count starts anew; after the last wrong one the record is
destroyed.

A slip in a recovery code is found before anything is sent, and uses no guess.

With --passkey no fleet is asked, and no guess is made: the key was sealed under
a passkey too (register --passkey-out), and is opened by it in a browser on this
computer, at an address of localhost that is shown. Where the passkey is lost,
the recovery code is the way back.

A node that is refused, such as one whose proof is too old, is told nothing; the
others are asked, by the same guess, and which were refused is said. One of an
older epoch than the device has seen is an alarm, though another one answers.

Exit codes: 0 the key is back; 1 the guess was wrong, the record is gone, or
every node, or the fleet, is refused; 4 no node answers; 6 the fleet's signers
equivocate. An error says where a guess was used, or may have been.`,
		"  fleetctl device recover --policy device.json --state phone --site fleet.yaml \\\n      --account drill.alice --code file:code --key-out key-again\n  fleetctl device recover --passkey passkey.json --key-out key-again",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return o.run(a, cmd) })
	o.flags(c)
	c.Flags().StringVar(&o.code, "code", "terminal", "the `source` of the recovery code: terminal, fd:N or file:PATH")
	c.Flags().StringVar(&o.passkey, "passkey", "", "instead of a fleet, the `file` of a passkey's record, which register --passkey-out has written")
	c.Flags().StringVar(&o.keyOut, "key-out", "", "the new private `file` of the key (hex)")
	return c
}

func (o *recoverOptions) run(a *cli.App, cmd *cobra.Command) error {
	if o.passkey != "" {
		return o.runPasskey(a, cmd)
	}
	if o.password != "" && cmd.Flags().Changed("code") {
		return cli.Usagef("", "--code and --password are two ways; give one")
	}
	if err := cli.Required(cmd, "key-out"); err != nil {
		return err
	}
	if err := cli.Free(o.keyOut); err != nil {
		return err
	}
	p, err := o.phone(a, cmd, o.password == "")
	if err != nil {
		return err
	}
	secret, err := o.secret(a)
	if err != nil {
		return err
	}
	ctx, stop := o.timed(cmd.Context())
	defer stop()
	d, err := p.Recover(ctx, secret)
	if err := finished(a, d, err); err != nil {
		return err
	}
	defer clear(d.Key)
	if err := cli.WritePrivate(o.keyOut, []byte(hex.EncodeToString(d.Key)+"\n")); err != nil {
		return err
	}
	r := &loginJSON{Account: o.account, Key: sha256.Sum256(d.Key), KeyFile: o.keyOut}
	return told(a, r, "recovered", d)
}

func (o *recoverOptions) secret(a *cli.App) (client.Secret, error) {
	if o.password != "" {
		text, err := signer.Secret(a, o.password, "password of "+o.account)
		return secretOf(text, err, client.Password)
	}
	text, err := signer.Secret(a, o.code, "recovery code of "+o.account)
	return secretOf(text, err, client.ParseCode)
}
