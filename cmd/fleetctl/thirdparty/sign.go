package thirdparty

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func signCmd(a *cli.App) *cobra.Command {
	var o options
	var yes string
	c := cli.Command("sign REQUEST", "Check a request, show it, and sign its epoch",
		`Sign does what inspect does, shows how the ceremony went and the artifact's
digest in words, asks for consent, typed: "sign epoch 1". It signs the
statement as Cloudflare's auditor does, and writes it to the ledger before it
leaves. The same request always gets the same answer. Where there is no
terminal, --agree SHA256 is the consent: the digest of the artifact. Where the
plan names a post-quantum key of the party's, --pq-key adds its signature over
the same bytes: the statement's own format has Ed25519 alone.

A request that doesn't follow from the ledger is refused, but for a gap: one
joins a namespace after its first epoch, passes over epochs that one was absent
for, or isn't named in a request that was made before one signed late. It needs
a consent of its own, --gap EPOCH where there is no terminal, and stands in the
ledger for good. What an absent party can still sign, it signs in order: then
there is no gap.`,
		`  fleetctl thirdparty sign request.json --policy thirdparty.yaml --ledger ledger.jsonl --key KEY --out response.json
  fleetctl thirdparty sign request.json --policy thirdparty.yaml --ledger ledger.jsonl --guard /media/stick/guard --key KEY --out response.json`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			if err := cli.Free(o.out, o.draw); err != nil {
				return err // before the ledger says that it was signed
			}
			return withRequest(a, cmd, args[0], o, func(p *thirdparty.Policy, in *thirdparty.Inspection, l *thirdparty.Ledger, s *signer.Key) error {
				return signRequest(a, args[0], o, p, in, l, s, yes)
			})
		})
	o.flags(c)
	o.pqFlag(c)
	c.Flags().StringVar(&o.out, "out", "", "the response's new `file`")
	c.Flags().StringVar(&yes, "agree", "", "`digest` of the artifact that is agreed to, in hex")
	c.Flags().Uint64Var(&o.gap, "gap", 0, "the `epoch` before the one asked for, where one agrees to the gap that ends there")
	o.framesFlag(c)
	c.Flags().StringVar(&o.draw, "qr-out", "", "also draw the response as QR frames into this new `folder`")
	return c
}

func signRequest(a *cli.App, file string, o options, p *thirdparty.Policy, in *thirdparty.Inspection, l *thirdparty.Ledger, s *signer.Key, agree string) error {
	set := in.Request.Core.KeySet
	if agree == "" && a.UI.Interactive() {
		digest := set.Digest()
		shown := a.UI.Keep(func() error {
			p := a.UI.Talk
			a.UI.Say(delta(a, in), "\n", cli.StoryText(a.UI.Talk, toldTo(in), false), "\n",
				p.Line("To be signed is the key set. Telephone the ceremony's auditor, at a number that you had before. They read the words of its SHA-256 from their own screen; follow them here, all of them:"),
				p.Words(digest[:], 4, true), "\n")
			return nil
		})
		if shown != nil {
			return shown
		}
	}
	if err := agreeTo(a, file, set.Epoch, set.Namespace, set.Digest(), agree); err != nil {
		return err
	}
	if err := agreeToGap(a, file, p, in, o.gap); err != nil {
		return err
	}
	adder, done, err := o.adder(a, s)
	if err != nil {
		return err
	}
	defer done()
	in.AddBy(adder)
	r, err := thirdparty.Sign(in, l, a.Now(), s.For(keys.ForThirdParty))
	if err != nil {
		return err
	}
	if err := cli.WriteNew(o.out, r.Raw()); err != nil {
		return err
	}
	if o.draw != "" {
		if _, err := cli.DrawFrames(o.draw, "response", set.Mode, o.out, r.Raw(), false); err != nil {
			return err
		}
	}
	if agree == "" {
		return signedNow(a, file, o, p, in, l, r)
	}
	return inspected(a, file, o, p, in, o.out)
}

// signedNow tells a person who was shown everything, and has agreed, only what has
// come of it: all of it once more would push the consent off the screen.
func signedNow(a *cli.App, file string, o options, p *thirdparty.Policy, in *thirdparty.Inspection, l *thirdparty.Ledger, r *bundle.Response) error {
	entry := 0
	for i, x := range l.Statements() {
		if x.Namespace == r.Statement.Namespace && x.Epoch == r.Statement.Epoch {
			entry = i + 1
		}
	}
	signed := "epoch " + fmt.Sprint(r.Statement.Epoch) + " of " + r.Statement.Namespace
	if in.Again {
		signed += ": this request was signed before; it gets the same answer"
	}
	return a.Emit(inspection(file, o, p, in, o.out), a.UI.Fields([][2]string{
		{"signed", signed}, {"time", strict.FormatTime(r.Statement.Time())}, {"ledger", fmt.Sprintf("%s, entry %d", o.ledger, entry)},
		{"response", o.out}, {"next", "give it to the operator, who puts it into the room's exchange folder, or runs"},
	}), "fleetctl bundle import DIR "+words.ShellWord(o.out)+"\n")
}

// agreeTo is a person's consent to sign what was shown.
func agreeTo(a *cli.App, file string, epoch uint64, namespace string, digest [32]byte, given string) error {
	switch {
	case given != "" && given != fmt.Sprintf("%x", digest):
		return cli.Wrong(strict.Errorf(file, "its artifact has the digest %x, --agree names another", digest))
	case given != "":
		return nil
	case !a.UI.Interactive():
		return cli.Usagef("agree to it with --agree DIGEST", "nothing is signed unseen, and there is no terminal to ask at")
	}
	return a.UI.Consent(fmt.Sprintf("Sign epoch %d of %s?", epoch, namespace), fmt.Sprintf("sign epoch %d", epoch))
}
