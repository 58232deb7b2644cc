package thirdparty

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type options struct {
	policy, ledger, key, out string
	pqKey                    string // of what is added to the statement
	publicKey                string // in the key's place, where nothing is signed
	guard                    string
	gap                      uint64   // to which one agrees: the epoch before
	frames                   []string // images of the core's QR frames
	draw                     string   // folder for the response's
	afterLedger, afterKey    string   // of the key that this one takes over from
}

// adder opens the post-quantum key beside the other; nil where none is given.
func (o *options) adder(a *cli.App, other *signer.Key) (*thirdparty.Adder, func(), error) {
	if o.pqKey == "" {
		return nil, func() {}, nil
	}
	k, err := signer.OpenPostQuantum(a, o.pqKey, other)
	if err != nil {
		return nil, nil, err
	}
	return &thirdparty.Adder{Key: k.Public, Sign: k.For(keys.ForThirdParty)}, k.Close, nil
}

func (o *options) framesFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.frames, "qr", nil, "images of the core's QR frames: a `file` or a folder of them")
}

func (o *options) pqFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.pqKey, "pq-key", "", "the ML-DSA `key` that adds a signature to the statement, where the plan names one: as --key")
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

	Otherwise []troubleJSON `strict:"otherwise"` // what went otherwise than planned
	People    []personJSON  `strict:"people"`
	Frames    int           `strict:"frames_compared,optional"` // images of QR frames that gave the same core
}

// Format is what the JSON says that it is.
func (*inspectJSON) Format() string { return "fleetctl thirdparty inspect result v1" }

type troubleJSON struct {
	What  string `strict:"what"`
	Count int    `strict:"count"`
}

type personJSON struct {
	Name     string `strict:"name"`
	Role     string `strict:"role"`
	Pinned   bool   `strict:"pinned"`
	Approved string `strict:"approved,empty"`
	Release  string `strict:"release,empty"`
}

func inspectCmd(a *cli.App) *cobra.Command {
	var o options
	c := cli.Command("inspect [REQUEST]", "Check a request against one's own policy and ledger, and show it",
		`Inspect replays the ceremony that is in the request, checks that it gives the
artifact to be signed, and holds it against policy and ledger. It shows how the
ceremony went: what went otherwise than planned, who approved what, and whose
verdict is there. It signs nothing, and needs only the public key.

With --qr the request's core is also read from images of its QR frames, and has
to be the one in the file. With the frames alone the core is shown, and what the
evidence would show is not: for signing the file is needed.`,
		`  fleetctl thirdparty inspect request.json --policy thirdparty.yaml --ledger ledger.jsonl --public-key thirdparty.pub
  fleetctl thirdparty inspect request.json --qr photos/ --policy thirdparty.yaml --ledger ledger.jsonl --public-key thirdparty.pub`,
		cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if len(o.frames) == 0 {
					return cli.Usagef("see fleetctl thirdparty inspect --help", "there is nothing to inspect: name the request's file, or its frames with --qr")
				}
				return inspectFrames(a, cmd, o)
			}
			return withRequest(a, cmd, args[0], o, func(p *thirdparty.Policy, in *thirdparty.Inspection, _ *thirdparty.Ledger, _ *signer.Key) error {
				return inspected(a, args[0], o, p, in, "")
			})
		})
	o.flags(c)
	c.Flags().StringVar(&o.publicKey, "public-key", "", "the ledger's public `key`, in the place of --key: base64, a file of it, or an OpenSSH .pub file")
	o.framesFlag(c)
	return c
}

func withRequest(a *cli.App, cmd *cobra.Command, file string, o options, do func(*thirdparty.Policy, *thirdparty.Inspection, *thirdparty.Ledger, *signer.Key) error) error {
	var in *thirdparty.Inspection
	examine := func(p *thirdparty.Policy) error {
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
		in, err = thirdparty.Examine(file, request, p)
		return cli.Wrong(err)
	}
	return atLedger(a, cmd, o, examine, func(p *thirdparty.Policy, l *thirdparty.Ledger, s *signer.Key) error {
		if err := in.Follow(l); err != nil {
			return cli.Wrong(err)
		}
		return do(p, in, l, s)
	})
}

// atLedger opens what the third party judges by: its policy, key and ledger. What can
// be examined by the policy alone is examined before anybody is asked for a passphrase.
func atLedger(a *cli.App, cmd *cobra.Command, o options, examine func(*thirdparty.Policy) error, do func(*thirdparty.Policy, *thirdparty.Ledger, *signer.Key) error) error {
	if err := o.required(cmd); err != nil {
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
	if err := examine(policy); err != nil {
		return err
	}
	s, raw, err := o.open(a)
	if err != nil {
		return err
	}
	if s != nil {
		defer s.Close()
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

// required are the flags without which nothing can be judged: what signs nothing is
// content with the public key.
func (o *options) required(cmd *cobra.Command) error {
	switch {
	case o.publicKey == "" && o.key == "" && cmd.Flags().Lookup("public-key") != nil:
		if err := cli.Required(cmd, "policy", "ledger"); err != nil {
			return err
		}
		return cli.Usagef("", "--public-key is missing (the ledger's; inspecting needs no private key)")
	case o.publicKey == "":
		return cli.Required(cmd, "policy", "ledger", "key")
	case o.key != "":
		return cli.Usagef("", "give --key or --public-key, and not both")
	}
	return cli.Required(cmd, "policy", "ledger")
}

// open gives the ledger's key; nil where only its public half was named.
func (o *options) open(a *cli.App) (*signer.Key, [32]byte, error) {
	if o.publicKey != "" {
		raw, err := ledgerKey(o.publicKey)
		return nil, raw, err
	}
	s, err := signer.Open(a, o.key)
	if err != nil {
		return nil, [32]byte{}, err
	}
	raw, err := signer.RawEd25519(s.Public.SPKI())
	if err != nil {
		s.Close()
		return nil, raw, cli.Usagef("", "--key %v", err)
	}
	return s, raw, nil
}

// inspection is what the commands give as JSON.
func inspection(file string, o options, p *thirdparty.Policy, in *thirdparty.Inspection, response string) *inspectJSON {
	set := in.Request.Core.KeySet
	digest := set.Digest()
	told := toldTo(in)
	out := &inspectJSON{
		Request: file, Fleet: set.Fleet, Mode: set.Mode, Namespace: set.Namespace, Epoch: set.Epoch,
		Digest: digest, Keys: len(set.Keys), Again: in.Again, Gap: gapResult(p, in.Gap), Response: response,
		Otherwise: []troubleJSON{}, People: []personJSON{}, Frames: len(o.frames),
	}
	for _, w := range story.Troubles() {
		if n := in.Story.Count(w); n > 0 {
			out.Otherwise = append(out.Otherwise, troubleJSON{string(w), n})
		}
	}
	unpinned := in.Unpinned()
	for i, x := range in.Story.People {
		out.People = append(out.People, personJSON{x.Name, x.Role, !slices.Contains(unpinned, x.Name), told.People[i].Approved, told.People[i].Release})
	}
	return out
}

func inspected(a *cli.App, file string, o options, p *thirdparty.Policy, in *thirdparty.Inspection, response string) error {
	core := in.Request.Core
	set := core.KeySet
	digest := set.Digest()
	rows := [][2]string{
		{"request", file}, {"ceremony", set.Ceremony.ID + " · " + strings.ToUpper(set.Mode)},
		{"namespace", set.Namespace}, {"epoch", fmt.Sprint(set.Epoch)},
		{"to be signed", "the key set, " + ceremony.ArtifactFile + " in that ceremony. Its SHA-256 is"}, {"", fmt.Sprintf("%x", digest)},
		{"checked", fmt.Sprintf("%d records replayed, %d proofs of possession, strict keys, policy, ledger", in.Account.N, len(set.Keys))},
	}
	if list := in.Devices.Keys; len(list) > 0 {
		rows = append(rows, [2]string{"attestation", require.Tell(list, a.Now()) + attestedBy(p)})
	}
	if len(p.Refuses) > 0 {
		rows = append(rows, [2]string{"refused", "by this policy would be " + strings.Join(p.Refuses, ", ") + "; there is none of that"})
	}
	if len(o.frames) > 0 {
		rows = append(rows, [2]string{"QR frames", fmt.Sprintf("they hold the same core as %s: SHA-256 %x", file, core.Subject())})
	}
	if in.Again {
		rows = append(rows, [2]string{"ledger", "this request was signed before; it gets the same answer"})
	}
	rows = append(rows, gapRows(p, in.Gap)...)
	if list := in.Account.Tolerated(); len(list) > 0 {
		rows = append(rows, [2]string{"tolerated", ceremony.TellTolerated(list) + ", as the plan and this policy say"})
	}
	if response != "" {
		rows = append(rows, [2]string{"response", response}, [2]string{"next", "give it to the operator, who runs"}, [2]string{"", "fleetctl bundle import DIR " + words.ShellWord(response)})
	}
	return a.Emit(inspection(file, o, p, in, response), delta(a, in), "\n", cli.StoryText(a.UI.Page, toldTo(in), false), "\n", a.UI.Words(digest[:], 4, true), "\n", a.UI.Fields(rows))
}

// attestedBy says by whose demands the devices' evidence was judged.
func attestedBy(p *thirdparty.Policy) string {
	if p.Attestation == nil {
		return "; this policy pins no anchor and requires nothing of it"
	}
	return "; judged under this policy's anchors"
}

// toldTo is how the ceremony went, as a third party is shown it.
func toldTo(in *thirdparty.Inspection) *explain.Told {
	told := explain.TellStory(in.Story, false)
	told.NotPinned(in.Unpinned())
	return told
}

// delta is what changes, as it is shown before anything is asked.
func delta(a *cli.App, in *thirdparty.Inspection) string {
	core := in.Request.Core
	return cli.DeltaText(a, core.Predecessor, core.KeySet, deltaOf(in))
}

// deltaOf is what changed; where nothing came before, everything.
func deltaOf(in *thirdparty.Inspection) *bundle.Delta {
	if in.Delta == nil {
		return bundle.Diff(nil, in.Request.Core.KeySet)
	}
	return in.Delta
}
