//go:build cgo && unix

package fleet

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
)

type statusJSON struct {
	Notice string       `strict:"notice"`
	Nodes  []statusNode `strict:"nodes"`
}

type statusNode struct {
	Node    string `strict:"node"`
	Address string `strict:"address"`
	Error   string `strict:"error,optional"` // why it doesn't answer; then there is nothing else
	State   string `strict:"state,optional"`
	Leader  string `strict:"leader,optional"`
	Epoch   uint64 `strict:"epoch,optional"`
	Term    uint64 `strict:"term,optional"`
	Last    uint64 `strict:"last,optional"`
	Applied uint64 `strict:"applied,optional"`
	Anchor  string `strict:"anchor,optional"`
	Voters  string `strict:"voters,optional"`
	// How many accounts it has, and how many of them are locked: no names. Absent where
	// it doesn't answer, so that none is not nothing.
	Accounts *uint32 `strict:"accounts,optional"`
	Locked   *uint32 `strict:"locked,optional"`
	Version  string  `strict:"version,optional"`
}

// Format is what the JSON says that it is.
func (*statusJSON) Format() string { return "fleetctl fleet status result v1" }

func statusCmd(a *cli.App) *cobra.Command {
	var policy cli.DevicePolicy
	var siteFile, role, rolePQ string
	var patience time.Duration
	c := cli.Command("status", "Ask every node of a reference fleet how it is",
		`Status opens a session with every node, as a device does that has never seen the
fleet, and asks how it is: whether it leads or follows, its term and log, how
many accounts it has and how many of them are locked, its anchor. What a node
says is its word, and no proof; that it is the bundle's node is proven by the
session.

Exit codes: 0 every node answers, and they agree on who leads; 1 not so.`,
		"  fleetctl fleet status --site fleet.yaml --policy device.json", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "policy", "site"); err != nil {
				return err
			}
			p, err := policy.Read(cmd, device.Pins{})
			if err != nil {
				return err
			}
			s, err := readSite(siteFile)
			if err != nil {
				return err
			}
			r := &statusJSON{Notice: notice}
			for _, n := range s.Nodes {
				x := statusNode{Node: n.HSM, Address: n.Address}
				d := phone.Phone{
					Session:  session.Client{Policy: p, State: phone.Memory("state"), Guard: phone.Memory("guard"), Begin: true, Role: role, PostQuantumRole: rolePQ, Now: a.Now},
					Patience: patience,
				}
				st, err := d.Status(cmd.Context(), phone.Node{HSM: n.HSM, Address: n.Address})
				if err != nil {
					x.Error = err.Error()
				} else {
					x.State, x.Leader, x.Epoch, x.Term, x.Last, x.Applied, x.Anchor, x.Voters, x.Version = st.State, st.Leader, st.Epoch, st.Term, st.Last, st.Applied, st.Anchor, st.Voters, st.Version
					x.Accounts, x.Locked = &st.Accounts, &st.Locked
				}
				r.Nodes = append(r.Nodes, x)
			}
			return statusTold(a, r)
		})
	f := c.Flags()
	policy.Flags(f)
	f.StringVar(&siteFile, "site", "", "the fleet's site `file`")
	f.StringVar(&role, "role", "session", "the `role` of the keys that open sessions")
	cli.RolePQ(f, &rolePQ, "")
	cli.Duration(f, &patience, "patience", 10*time.Second, "how long a node has for its answer")
	return c
}

func statusTold(a *cli.App, r *statusJSON) error {
	rows := [][]string{}
	leader, well := r.Nodes[0].Leader, true
	said := ""
	for _, n := range r.Nodes {
		if n.Error != "" {
			rows = append(rows, []string{n.Node, "no answer", "", "", "", "", ""})
			said += a.UI.Line(n.Node + ": " + n.Error)
			well = false
			continue
		}
		rows = append(rows, []string{n.Node, n.State, fmt.Sprint(n.Term), fmt.Sprintf("%d of %d", n.Applied, n.Last), fmt.Sprint(n.Epoch), fmt.Sprintf("%d, %d locked", *n.Accounts, *n.Locked), n.Anchor})
		well = well && n.Leader == leader && leader != ""
	}
	if err := a.Emit(r, a.UI.Table([]string{"node", "state", "term", "applied", "epoch", "accounts", "anchor"}, rows), said, a.UI.Fields([][2]string{{"notice", notice}})); err != nil {
		return err
	}
	if !well {
		return cli.Exit(cli.ExitWrong, cli.ErrQuiet)
	}
	return nil
}
