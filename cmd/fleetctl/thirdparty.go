package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type thirdpartyOptions struct {
	policy, ledger, key, out string
	guard                    string
	gap                      uint64   // to which one agrees: the epoch before
	frames                   []string // images of the core's QR frames
	draw                     string   // folder for the response's
	afterLedger, afterKey    string   // of the key that this one takes over from
}

func (o *thirdpartyOptions) framesFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.frames, "qr", nil, "images of the core's QR frames: a `file` or a folder of them")
}

func (o *thirdpartyOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.policy, "policy", "", "the third party's own policy `file`")
	c.Flags().StringVar(&o.ledger, "ledger", "", "the `file` of everything it signed, begun by thirdparty init")
	c.Flags().StringVar(&o.guard, "guard", "", "the ledger's guard `file`, best on another disk (default: LEDGER.guard)")
	c.Flags().StringVar(&o.key, "key", "", signer.Help)
	c.Flags().StringVar(&o.afterLedger, "after-ledger", "", "the ledger `file` of the key that this one takes over from")
	c.Flags().StringVar(&o.afterKey, "after-key", "", "the public `key` of that ledger: base64, a file of it, or an OpenSSH .pub file")
}

type inspectJSON struct {
	Request   string   `strict:"request"`
	Fleet     string   `strict:"fleet"`
	Mode      string   `strict:"mode"`
	Namespace string   `strict:"namespace"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Keys      int      `strict:"keys"`
	Again     bool     `strict:"signed_before"`
	Gap       *gapJSON `strict:"gap,optional"`
	Response  string   `strict:"response,optional"`
}

func thirdpartyInspectCmd(a *cli.App) *cobra.Command {
	var o thirdpartyOptions
	c := cli.Command("inspect [REQUEST]", "Check a request against one's own policy and ledger, and show it",
		`Inspect replays the ceremony that is in the request, checks that it gives the
artifact to be signed, and holds it against policy and ledger. It signs nothing.

With --qr the request's core is also read from images of its QR frames, and has
to be the one in the file. With the frames alone the core is shown, and what the
evidence would show is not: for signing the file is needed.`,
		`  fleetctl thirdparty inspect request.json --policy thirdparty.yaml --ledger ledger.jsonl --key KEY
  fleetctl thirdparty inspect request.json --qr photos/ --policy thirdparty.yaml --ledger ledger.jsonl --key KEY`,
		cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if len(o.frames) == 0 {
					return cli.Usagef("see fleetctl thirdparty inspect --help", "there is nothing to inspect: name the request's file, or its frames with --qr")
				}
				return inspectFrames(a, cmd, o)
			}
			return withRequest(a, cmd, args[0], o, func(p *thirdparty.Policy, in *thirdparty.Inspection, _ *thirdparty.Ledger, _ *signer.Key) error {
				return inspected(a, args[0], p, in, "")
			})
		})
	o.flags(c)
	o.framesFlag(c)
	return c
}

func thirdpartySignCmd(a *cli.App) *cobra.Command {
	var o thirdpartyOptions
	var yes string
	c := cli.Command("sign REQUEST", "Check a request, show it, and sign its epoch",
		`Sign does what inspect does, shows the artifact's digest in words, asks for
consent, typed: "sign epoch 1". It signs the statement as Cloudflare's auditor
does, and writes it to the ledger before it leaves. The same request always gets
the same answer. Where there is no terminal, --agree SHA256 is the consent: the
digest of the artifact.

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
				return thirdpartySign(a, args[0], o, p, in, l, s, yes)
			})
		})
	o.flags(c)
	c.Flags().StringVar(&o.out, "out", "", "the response's new `file`")
	c.Flags().StringVar(&yes, "agree", "", "`digest` of the artifact that is agreed to, in hex")
	c.Flags().Uint64Var(&o.gap, "gap", 0, "the `epoch` before the one asked for, where one agrees to the gap that ends there")
	o.framesFlag(c)
	c.Flags().StringVar(&o.draw, "qr-out", "", "also draw the response as QR frames into this new `folder`")
	return c
}

func withRequest(a *cli.App, cmd *cobra.Command, file string, o thirdpartyOptions, do func(*thirdparty.Policy, *thirdparty.Inspection, *thirdparty.Ledger, *signer.Key) error) error {
	return atLedger(a, cmd, o, func(p *thirdparty.Policy, l *thirdparty.Ledger, s *signer.Key) error {
		data, err := cli.ReadFile(file)
		if err != nil {
			return err
		}
		request, err := bundle.ParseRequest(file, data)
		if err != nil {
			return cli.Wrong(err)
		}
		if err := sameCore(file, request, o.frames); err != nil {
			return err
		}
		in, err := thirdparty.Inspect(file, request, p, l)
		if err != nil {
			return cli.Wrong(err)
		}
		return do(p, in, l, s)
	})
}

// atLedger opens what the third party judges by: its policy, key and ledger.
func atLedger(a *cli.App, cmd *cobra.Command, o thirdpartyOptions, do func(*thirdparty.Policy, *thirdparty.Ledger, *signer.Key) error) error {
	if err := cli.Required(cmd, "policy", "ledger", "key"); err != nil {
		return err
	}
	data, err := cli.ReadFile(o.policy)
	if err != nil {
		return err
	}
	policy, err := thirdparty.ParsePolicy(o.policy, data)
	if err != nil {
		return cli.Usage(err)
	}
	s, err := signer.Open(a, o.key)
	if err != nil {
		return err
	}
	defer s.Close()
	raw, err := signer.RawEd25519(s.Public.SPKI())
	if err != nil {
		return cli.Usagef("", "--key %v", err)
	}
	if o.guard == "" {
		o.guard = thirdparty.GuardPath(o.ledger)
	}
	l, err := thirdparty.OpenGuarded(o.ledger, o.guard, raw)
	if e := (*strict.Error)(nil); errors.As(err, &e) && !errors.Is(err, durable.ErrLocked) {
		return cli.Wrong(err) // a ledger that is damaged, or lacks what was signed
	}
	if err != nil {
		return err
	}
	defer l.Close()
	tellTorn(a, l)
	if o.afterLedger != "" || o.afterKey != "" {
		if err := cli.Required(cmd, "after-ledger", "after-key"); err != nil {
			return err
		}
		old, err := readLedger(o.afterLedger, o.afterKey)
		if err != nil {
			return err
		}
		if guard := thirdparty.GuardPath(o.afterLedger); hasFile(guard) {
			if err := old.CheckGuard(guard); err != nil {
				return cli.Wrong(err)
			}
		}
		if err := l.Continues(old); err != nil {
			return cli.Usage(err)
		}
	}
	return do(policy, l, s)
}

func inspected(a *cli.App, file string, p *thirdparty.Policy, in *thirdparty.Inspection, response string) error {
	core := in.Request.Core
	set := core.KeySet
	digest := set.Digest()
	out := &inspectJSON{
		Request: file, Fleet: set.Fleet, Mode: set.Mode, Namespace: set.Namespace, Epoch: set.Epoch,
		Digest: digest, Keys: len(set.Keys), Again: in.Again, Gap: gapResult(p, in.Gap), Response: response,
	}
	rows := [][2]string{
		{"request", file}, {"ceremony", set.Ceremony.ID + " · " + strings.ToUpper(set.Mode)},
		{"namespace", set.Namespace}, {"epoch", fmt.Sprint(set.Epoch)}, {"digest", fmt.Sprintf("%x", digest)},
		{"checked", fmt.Sprintf("%d records replayed, %d proofs of possession, strict keys, policy, ledger", in.Account.N, len(set.Keys))},
	}
	if in.Again {
		rows = append(rows, [2]string{"ledger", "this request was signed before; it gets the same answer"})
	}
	rows = append(rows, gapRows(p, in.Gap)...)
	if list := in.Account.Tolerated(); len(list) > 0 {
		rows = append(rows, [2]string{"tolerated", ceremony.TellTolerated(list) + ", as the plan and this policy say"})
	}
	if response != "" {
		rows = append(rows, [2]string{"response", response}, [2]string{"next", "give it to the operator, who runs fleetctl bundle import DIR " + words.ShellWord(response)})
	}
	return a.Emit(out, cli.DeltaText(a, core.Predecessor, set, deltaOf(in)), "\n", a.UI.Words(digest[:], 4, true), "\n", a.UI.Fields(rows))
}

func thirdpartySign(a *cli.App, file string, o thirdpartyOptions, p *thirdparty.Policy, in *thirdparty.Inspection, l *thirdparty.Ledger, s *signer.Key, agree string) error {
	set := in.Request.Core.KeySet
	if agree == "" && a.UI.Interactive() {
		digest := set.Digest()
		a.UI.Say(cli.DeltaText(a, in.Request.Core.Predecessor, set, deltaOf(in)), "\n", a.UI.Talk.Words(digest[:], 4, true), "\n")
	}
	if err := agreeTo(a, file, set.Epoch, set.Namespace, set.Digest(), agree); err != nil {
		return err
	}
	if err := agreeToGap(a, file, p, in, o.gap); err != nil {
		return err
	}
	r, err := thirdparty.Sign(in, l, a.Now(), s.Sign)
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
	return inspected(a, file, p, in, o.out)
}

// deltaOf is what changed; where nothing came before, everything.
func deltaOf(in *thirdparty.Inspection) *bundle.Delta {
	if in.Delta == nil {
		return bundle.Diff(nil, in.Request.Core.KeySet)
	}
	return in.Delta
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
