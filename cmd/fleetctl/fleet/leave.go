//go:build cgo && unix

package fleet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/hsmhost"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type leaveJSON struct {
	Notice      string `strict:"notice"`
	Node        string `strict:"node"`
	Fleet       string `strict:"fleet"`
	Dir         string `strict:"dir"`
	Anchor      string `strict:"anchor"`
	Incarnation string `strict:"incarnation"` // whose anchor is gone
	Last        uint64 `strict:"last"`        // the last entry of the log that it had acknowledged
}

// Format is what the JSON says that it is.
func (*leaveJSON) Format() string { return "fleetctl fleet leave result v1" }

// leaveOptions name the node that leaves.
type leaveOptions struct{ site, hsm, agree string }

func leaveCmd(a *cli.App) *cobra.Command {
	o := &leaveOptions{}
	c := cli.Command("leave BUNDLE", "Take a node's anchor out of its HSM, for good",
		`Leave takes the anchor of a reference fleet's node out of its HSM: at the end of
a trial, or because the node's disk was lost or put back from a copy. By that
anchor alone a disk is believed: what is on this node's disk can never be
believed again, so keep nothing of it. The node must not run. Its keys stay.

The anchor is shown, and taken out once its incarnation is agreed to: typed, or
by --agree. A node with this HSM can then be made anew, in an empty folder, by
fleet join; the node that leads removes the incarnation before. Until then the
fleet counts a node that is gone, and has one fewer to lose.`,
		"  fleetctl fleet leave bundle.json --site fleet.yaml --hsm hsm-1",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site", "hsm"); err != nil {
				return err
			}
			h, err := o.here(args[0])
			if err != nil {
				return err
			}
			return o.run(a, cmd, h)
		})
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "the fleet's site `file`: where its nodes are")
	f.StringVar(&o.hsm, "hsm", "", "the `name` of this node's HSM, as the bundle has it")
	f.StringVar(&o.agree, "agree", "", "agree beforehand, by the `incarnation` of the anchor that is to go")
	return c
}

// here is the node. The bundle only names the fleet: one that no device takes any more,
// such as a retired fleet's, does too.
func (o *leaveOptions) here(file string) (*here, error) {
	data, err := cli.ReadNamed(file, bundle.MaxBundle)
	if err != nil {
		return nil, err
	}
	b, err := bundle.ParseBundle(file, data)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	h := &here{answer: &answer{keys: b.KeySet}, leaves: true}
	if err := h.locate(o.site, o.hsm); err != nil {
		return nil, err
	}
	if h.place.Kind == site.Nowhere {
		return nil, cli.Usage(strict.Errorf(o.site, "node %s has its anchor nowhere but in its folder", o.hsm).WithHint("move %s away: the node is gone with it", h.self.Dir))
	}
	return h, nil
}

func (o *leaveOptions) run(a *cli.App, cmd *cobra.Command, h *here) error {
	if err := h.atRest(); err != nil {
		return err
	}
	t, err := openToken(cmd.Context(), a, h)
	if err != nil {
		return err
	}
	defer t.Close()
	k := t.Anchor()
	at, err := anchor.Load(k)
	switch {
	case errors.Is(err, anchor.ErrNone):
		return cli.Usage(strict.Errorf("", "the HSM of node %s has no anchor of fleet %s: there is nothing to take out", o.hsm, h.keys.Fleet))
	case err != nil:
		return cli.Exit(cli.ExitFailed, strict.Errorf("", "node %s: %v", o.hsm, err))
	}
	r := &leaveJSON{notice, o.hsm, h.keys.Fleet, h.self.Dir, h.self.Anchor, hex.EncodeToString(at.Incarnation[:]), at.LastIndex}
	if err := o.agreed(a, r, at.Term); err != nil {
		return err
	}
	if err := removed(k); err != nil {
		return cli.Exit(cli.ExitFailed, strict.Errorf("", "node %s: %v", o.hsm, err))
	}
	next := fmt.Sprintf("move %s away: nothing of it may be used again; fleetctl fleet join makes the node anew", r.Dir)
	return a.Emit(r, a.UI.Fields([][2]string{{"removed", "the anchor of " + r.Node}, {"fleet", r.Fleet}, {"incarnation", r.Incarnation}, {"next", next}, {"notice", notice}}))
}

// atRest refuses a node that runs. The HSM's process holds the same lock, as long as it
// does: beside the folder, which somebody may have moved away already.
func (h *here) atRest() error {
	lock := h.lock()
	if _, err := durable.Stat(filepath.Dir(lock)); err != nil {
		return nil // no node has run from there
	}
	unlock, err := durable.Lock(lock)
	if errors.Is(err, durable.ErrLocked) {
		return cli.Exit(cli.ExitFailed, strict.Errorf("", "node %s runs: its HSM is in use (%v)", h.self.HSM, err).WithHint("stop it first; its anchor is what it is judged by"))
	}
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// agreed shows the anchor, and has somebody agree that it goes.
func (o *leaveOptions) agreed(a *cli.App, r *leaveJSON, term uint64) error {
	switch {
	case o.agree != "" && o.agree != r.Incarnation:
		return cli.Usagef("", "the anchor of %s is of the incarnation %s, and --agree names another", r.Node, r.Incarnation)
	case o.agree != "":
		return nil
	}
	a.UI.Say(a.UI.Talk.Fields([][2]string{
		{"node", r.Node}, {"fleet", r.Fleet}, {"incarnation", r.Incarnation}, {"has acknowledged", fmt.Sprintf("%d entries of the log, in term %d", r.Last, term)},
		{"means", "what is on this node's disk, " + r.Dir + ", can never be believed again"},
	}))
	if !a.UI.Interactive() {
		return cli.Usagef("agree to it with --agree "+r.Incarnation, "an anchor that is taken out doesn't come back, and there is no terminal to ask at")
	}
	return a.UI.Consent("Is this node's anchor to be taken out of its HSM, for good?", "remove the anchor of "+r.Node)
}

// removed takes an anchor out, and looks whether it is gone.
func removed(k *hsmhost.Anchor) error {
	if err := k.Remove(); err != nil {
		return err
	}
	if _, err := k.Read(); !errors.Is(err, anchor.ErrNone) {
		return fmt.Errorf("the HSM said that the anchor is gone, and still has one: %v", err)
	}
	return nil
}
