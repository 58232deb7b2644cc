package thirdparty

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// sameCore compares a request's core with the one that came as QR frames, where
// any did.
func sameCore(file string, r *bundle.Request, frames []string) error {
	if len(frames) == 0 {
		return nil
	}
	data, err := cli.ReadFrames(frames)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, r.Core.Raw()) {
		return cli.Wrong(strict.Errorf(file, "its core is not the one in the QR frames").
			WithHint("one of the two was changed on its way: keep both, and ask the operator"))
	}
	return nil
}

type coreJSON struct {
	Fleet     string   `strict:"fleet"`
	Mode      string   `strict:"mode"`
	Namespace string   `strict:"namespace"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Core      [32]byte `strict:"core,hex"`
	NotShown  []string `strict:"not_shown"`
}

// Format is what the JSON says that it is.
func (*coreJSON) Format() string { return "fleetctl thirdparty core result v1" }

// inspectFrames shows a core that came as QR frames alone. What lies in the
// request's file isn't here, so it ends as something that can be gone on with.
func inspectFrames(a *cli.App, cmd *cobra.Command, o options) error {
	data, err := cli.ReadFrames(o.frames)
	if err != nil {
		return err
	}
	core, err := bundle.ParseCore("core", data)
	if err != nil {
		return cli.Wrong(err)
	}
	allowed := func(p *thirdparty.Policy) error { return cli.Wrong(p.Allows("core", core.KeySet)) }
	return atLedger(a, cmd, o, allowed, func(p *thirdparty.Policy, l *thirdparty.Ledger, _ *signer.Key) error {
		gap, err := thirdparty.InspectCore("core", core, p, l)
		if err != nil {
			return cli.Wrong(err)
		}
		set := core.KeySet
		delta := bundle.Diff(core.Predecessor, set)
		digest := set.Digest()
		out := &coreJSON{set.Fleet, set.Mode, set.Namespace, set.Epoch, digest, core.Subject(),
			[]string{"approvals", "transcript", "release sign-offs", "proofs of possession"}}
		rows := append([][2]string{
			{"namespace", set.Namespace}, {"epoch", fmt.Sprint(set.Epoch)}, {"digest", fmt.Sprintf("%x", digest)},
			{"checked", "policy and ledger"}, {"not shown", "approvals, transcript, release sign-offs, proofs of possession: for them, and for signing, the request's file is needed"},
		}, gapRows(p, gap)...)
		if err := a.Emit(out, cli.DeltaText(a, core.Predecessor, set, delta), "\n", a.UI.Words(digest[:], 4, true), "\n", a.UI.Fields(rows)); err != nil {
			return err
		}
		return cli.Exit(cli.ExitPending, cli.ErrQuiet)
	})
}
