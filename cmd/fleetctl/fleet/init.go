//go:build cgo && unix

package fleet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/anchorhsm"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type initJSON struct {
	Notice      string `strict:"notice"`
	Node        string `strict:"node"`
	Fleet       string `strict:"fleet"`
	Epoch       uint64 `strict:"epoch"`
	Dir         string `strict:"dir"`
	Anchor      string `strict:"anchor"`
	Incarnation string `strict:"incarnation"`
	Founder     bool   `strict:"founder"`
}

// Format is what the JSON says that it is.
func (*initJSON) Format() string { return "fleetctl fleet init result v1" }

func initCmd(a *cli.App) *cobra.Command {
	o := &nodeOptions{}
	c := cli.Command("init BUNDLE", "Make the first node of a reference fleet",
		`Init makes the node with which a reference fleet begins: its folder, and in its
HSM an anchor with a random incarnation. Run it once, for one node of the fleet;
every other one joins. It refuses a folder that has something in it, and a token
that has an anchor.`,
		"  fleetctl fleet init bundle.json --policy device.json --site fleet.yaml --hsm hsm-1 --secrets secrets.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error { return o.begin(a, cmd, args[0], true) })
	o.flags(c)
	return c
}

func joinCmd(a *cli.App) *cobra.Command {
	o := &nodeOptions{}
	c := cli.Command("join BUNDLE", "Make another node of a reference fleet, or a new one in a lost one's place",
		`Join makes a node that takes part in a fleet that is there: its folder, and in
its HSM an anchor with a random incarnation. Once it serves, the node that leads
takes it in: without a vote until it has caught up. An earlier incarnation of
the same HSM is removed then. So a node whose disk was lost, or put back from a
copy, is replaced; it is never repaired.`,
		"  fleetctl fleet join bundle.json --policy device.json --site fleet.yaml --hsm hsm-2 --secrets secrets.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error { return o.begin(a, cmd, args[0], false) })
	o.flags(c)
	return c
}

// begin makes a node's folder and its anchor.
func (o *nodeOptions) begin(a *cli.App, cmd *cobra.Command, file string, founder bool) error {
	h, err := o.here(a, cmd, file)
	if err != nil {
		return err
	}
	if err := empty(h.self.Dir); err != nil {
		return err
	}
	t, err := openToken(cmd.Context(), a, h)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := h.canOpen(o, t); err != nil {
		return err
	}
	k, err := h.keeper(t)
	if err != nil {
		return err
	}
	if founder {
		if err := durable.Create(filepath.Join(h.self.Dir, founderFile), []byte(o.hsm+"\n"), 0o600); err != nil {
			return err
		}
	}
	at, err := anchor.Begin(k, node.Fleet(h.keys, o.beside), a.Random)
	if err != nil {
		return o.notBegun(h, k, founder, err)
	}
	r := &initJSON{notice, o.hsm, h.keys.Fleet, h.keys.Epoch, h.self.Dir, h.self.Anchor, hex.EncodeToString(at.Incarnation[:]), founder}
	rows := [][2]string{{"node", r.Node}, {"fleet", fmt.Sprintf("%s, epoch %d", r.Fleet, r.Epoch)}, {"folder", r.Dir}, {"anchor", anchorWords(r.Anchor)}, {"incarnation", r.Incarnation}, {"notice", notice}}
	return a.Emit(r, a.UI.Fields(rows))
}

// notBegun says why a node has no anchor, and leaves its folder as it was, unless the HSM
// may have one all the same.
func (o *nodeOptions) notBegun(h *here, k anchor.Keeper, founder bool, why error) error {
	err := strict.Errorf("", "node %s: %v", o.hsm, why)
	switch {
	case errors.Is(why, anchor.ErrBegun):
		err = err.WithHint("fleetctl fleet leave shows it, and takes it out once that is agreed to")
	case errors.Is(why, anchorhsm.ErrUnfit):
		err = err.WithHint("anchor: none in the site file has the node run without")
	}
	if _, none := k.Read(); founder && (errors.Is(why, anchorhsm.ErrUnfit) || errors.Is(why, anchor.ErrBegun) || errors.Is(none, anchor.ErrNone)) {
		return cli.Exit(cli.ExitFailed, errors.Join(err, durable.Remove(filepath.Join(h.self.Dir, founderFile))))
	}
	return cli.Exit(cli.ExitFailed, err)
}

// anchorWords says of a node without an anchor what that means.
func anchorWords(place string) string {
	if place == "none" {
		return "none: a disk that is put back from a copy is not noticed"
	}
	return place
}

// empty makes a node's folder, or takes one that has nothing in it.
func empty(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	list, err := durable.ReadDir(dir)
	// A node that was started before it was made has left a folder for its log, locked.
	if err == nil && len(list) == 1 && list[0].Name() == "log" {
		list, err = durable.ReadDir(filepath.Join(dir, "log"))
		list = slices.DeleteFunc(list, func(e fs.DirEntry) bool { return e.Name() == "lock" })
	}
	if err == nil && len(list) > 0 {
		err = cli.Usage(strict.Errorf(dir, "is not empty: a node begins in an empty folder").WithHint("move it away, or name another dir in the site file"))
	}
	return err
}
