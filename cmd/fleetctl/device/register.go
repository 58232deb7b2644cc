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

type registerOptions struct {
	fleetOptions
	codeOut, keyOut, passkeyOut string
	used                        uint32
}

func registerCmd(a *cli.App) *cobra.Command {
	o := &registerOptions{}
	c := cli.Command("register", "Have a reference fleet keep a new key under a recovery code",
		`Register does what a phone does when a backup is set up: it opens a session with
a node, judges the bundle that it answers with as device check does, draws a key
of 256 bits, and has the fleet keep it, sealed by OPAQUE under a recovery code
of 64 digits that it draws too. The fleet learns neither. With --password a
person's own words take the code's place.

With --passkey-out the same key is sealed under a new passkey too, first: a
browser on this computer makes it, at an address of localhost that is shown. It
takes a browser and an authenticator that have WebAuthn's PRF.

It speaks with a reference fleet (fleet serve), which is no vault: only accounts
whose names begin with drill. are kept.

A node that is refused, such as one whose proof is too old, is told nothing; the
others are asked, and which were refused is said. One of an older epoch than the
device has seen is an alarm, though another one answers.

Exit codes: 0 registered; 1 every node, or the fleet, is refused; 4 no node
answers; 6 the fleet's signers equivocate.`,
		"  fleetctl device register --policy device.json --state phone --begin --site fleet.yaml \\\n      --account drill.alice --code-out code --key-out key",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return o.run(a, cmd) })
	o.flags(c)
	c.Flags().StringVar(&o.codeOut, "code-out", "", "the new private `file` of the recovery code, for its owner to write down")
	c.Flags().StringVar(&o.keyOut, "key-out", "", "the new private `file` of the key (hex)")
	c.Flags().StringVar(&o.passkeyOut, "passkey-out", "", "seal the key under a new passkey too: the new `file` of its record, which opens nothing without it")
	c.Flags().Uint32Var(&o.used, "used", 0, "how many guesses of this account the device has seen used with an earlier epoch")
	return c
}

func (o *registerOptions) run(a *cli.App, cmd *cobra.Command) error {
	if (o.codeOut == "") == (o.password == "") {
		return cli.Usagef("", "say where the recovery code goes, with --code-out, or where a password comes from, with --password")
	}
	if err := cli.Required(cmd, "key-out"); err != nil {
		return err
	}
	if err := cli.Free(o.codeOut, o.keyOut, o.passkeyOut); err != nil {
		return err
	}
	p, err := o.phone(a, cmd, o.codeOut != "")
	if err != nil {
		return err
	}
	secret, code, err := o.secret(a)
	if err != nil {
		return err
	}
	key, err := client.NewKey(a.Random)
	if err != nil {
		return err
	}
	defer clear(key)
	// Both are on the disk before the fleet has anything: what it keeps must not be
	// without an owner.
	if code != "" {
		if err := cli.WritePrivate(o.codeOut, []byte(code+"\n")); err != nil {
			return err
		}
	}
	if err := cli.WritePrivate(o.keyOut, []byte(hex.EncodeToString(key)+"\n")); err != nil {
		return err
	}
	ctx, stop := o.timed(cmd.Context())
	defer stop()
	if o.passkeyOut != "" {
		if err := o.keepUnderPasskey(ctx, a, key); err != nil {
			return err
		}
	}
	d, err := p.Register(ctx, secret, key, o.used)
	if err := finished(a, d, err); err != nil {
		return err
	}
	r := &loginJSON{Account: o.account, Key: sha256.Sum256(key), KeyFile: o.keyOut, CodeFile: o.codeOut, PasskeyFile: o.passkeyOut}
	return told(a, r, "registered", d)
}

func (o *registerOptions) secret(a *cli.App) (s client.Secret, code string, err error) {
	if o.password != "" {
		text, err := signer.NewSecret(a, o.password, "password of "+o.account)
		s, err = secretOf(text, err, client.Password)
		return s, "", err
	}
	if code, err = client.NewCode(a.Random); err != nil {
		return s, "", err
	}
	s, err = client.ParseCode(code)
	return s, code, err
}
