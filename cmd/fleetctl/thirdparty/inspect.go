package thirdparty

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

type options struct {
	policy, ledger, key, out string
	guard                    string
	gap                      uint64   // to which one agrees: the epoch before
	frames                   []string // images of the core's QR frames
	draw                     string   // folder for the response's
	afterLedger, afterKey    string   // of the key that this one takes over from
}

func (o *options) framesFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.frames, "qr", nil, "images of the core's QR frames: a `file` or a folder of them")
}

func (o *options) flags(c *cobra.Command) {
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

func inspectCmd(a *cli.App) *cobra.Command {
	var o options
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

func withRequest(a *cli.App, cmd *cobra.Command, file string, o options, do func(*thirdparty.Policy, *thirdparty.Inspection, *thirdparty.Ledger, *signer.Key) error) error {
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
func atLedger(a *cli.App, cmd *cobra.Command, o options, do func(*thirdparty.Policy, *thirdparty.Ledger, *signer.Key) error) error {
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

// deltaOf is what changed; where nothing came before, everything.
func deltaOf(in *thirdparty.Inspection) *bundle.Delta {
	if in.Delta == nil {
		return bundle.Diff(nil, in.Request.Core.KeySet)
	}
	return in.Delta
}
