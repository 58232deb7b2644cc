//go:build cgo && unix

package device

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/phone"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// fleetOptions are what a device has that speaks with a fleet.
type fleetOptions struct {
	policy               cli.DevicePolicy
	state, guard         string
	role, rolePQ         string
	begin, small         bool
	site, account        string
	nodes                []string
	password             string
	patience, altogether time.Duration
}

func (o *fleetOptions) flags(c *cobra.Command) {
	f := c.Flags()
	o.policy.Flags(f)
	f.StringVar(&o.state, "state", "", "the `file` of what the device remembers of its fleet")
	f.StringVar(&o.guard, "guard", "", "the `file` that says which state that is (default: STATE.guard)")
	f.BoolVar(&o.begin, "begin", false, "begin a state where there is neither state nor guard")
	f.StringVar(&o.role, "role", "session", "the `role` of the keys that open sessions")
	cli.RolePQ(f, &o.rolePQ, "")
	f.StringArrayVar(&o.nodes, "node", nil, "`name=address` of a node, such as hsm-1=127.0.0.1:7101; once a node")
	f.StringVar(&o.site, "site", "", "instead of --node, a fleet's site `file`")
	f.StringVar(&o.account, "account", "", "the account's `name`, which begins with drill.")
	f.StringVar(&o.password, "password", "", "a password in the place of a recovery code: the `source` it comes from, terminal, fd:N or file:PATH")
	f.BoolVar(&o.small, "small", false, "a device with little memory: stretch a password with 64 MiB instead of 2 GiB, at registration and at every recovery")
	cli.Duration(f, &o.patience, "patience", 20*time.Second, "how long one node has for its answer")
	cli.Duration(f, &o.altogether, "give-up", 2*time.Minute, "how long nodes are asked altogether")
}

// phone is the device, once it knows where its nodes are.
func (o *fleetOptions) phone(a *cli.App, cmd *cobra.Command, code bool) (*phone.Phone, error) {
	if err := cli.Required(cmd, "policy", "state", "account"); err != nil {
		return nil, err
	}
	if err := guess.CheckAccount(o.account); err != nil {
		return nil, cli.Usagef("", "--account: %v", err)
	}
	p, err := o.policy.Read(cmd, device.Pins{})
	if err != nil {
		return nil, err
	}
	if o.guard == "" {
		o.guard = o.state + ".guard"
	}
	nodes, err := o.where()
	if err != nil {
		return nil, err
	}
	stretch := opaque.Stretch(opaque.Argon2id)
	switch {
	case code: // its digits are random: nobody gains by trying them
		stretch = opaque.Identity
	case o.small:
		stretch = opaque.Argon2idSmall
	}
	return &phone.Phone{
		Session: session.Client{Policy: p, State: device.File(o.state), Guard: device.File(o.guard), Begin: o.begin, Role: o.role, PostQuantumRole: o.rolePQ, Now: a.Now},
		Nodes:   nodes, Account: o.account, Random: a.Random, Stretch: stretch, Patience: o.patience,
	}, nil
}

func (o *fleetOptions) where() (list []phone.Node, err error) {
	switch {
	case (o.site == "") == (len(o.nodes) == 0):
		return nil, cli.Usagef("", "say where the nodes are: --node once for each, or --site")
	case o.site != "":
		data, err := cli.ReadNamed(o.site, site.MaxSite)
		if err != nil {
			return nil, err
		}
		s, err := site.Parse(o.site, data)
		if err != nil {
			return nil, cli.Usage(err)
		}
		for _, n := range s.Nodes {
			list = append(list, phone.Node{HSM: n.HSM, Address: n.Address})
		}
		return list, nil
	}
	for _, n := range o.nodes {
		hsm, address, ok := strings.Cut(n, "=")
		if !ok || strict.CheckToken(hsm) != nil || address == "" {
			return nil, cli.Usagef("", "--node is %q; it is name=address, such as hsm-1=127.0.0.1:7101", strict.Clip(n))
		}
		list = append(list, phone.Node{HSM: hsm, Address: address})
	}
	return list, nil
}

// timed bounds what a device does altogether.
func (o *fleetOptions) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, o.altogether)
}

// refusedBy gives an error its exit code: evidence that doesn't hold, a secret that is
// wrong or a record that is gone is 1, whatever else is the operation's.
func refusedBy(err error) error {
	var r *bundle.Refusal
	var wrong *client.Wrong
	var refusal *wire.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r) && r.Alarm():
		return cli.Exit(cli.ExitAlarm, err)
	case errors.As(err, &r), errors.As(err, &wrong):
		return cli.Wrong(err)
	case errors.Is(err, bundle.ErrTrust):
		return cli.Usage(err)
	case errors.As(err, &refusal) && (refusal.Code == wire.CodeLocked || refusal.Code == wire.CodeErased || refusal.Code == wire.CodeRetired):
		return cli.Wrong(err)
	}
	return cli.Exit(cli.ExitFailed, err)
}

// finished gives what a device did its exit code, and says which nodes it refused on the
// way, if another one has answered.
func finished(a *cli.App, d *phone.Answer, err error) error {
	if nobody := (*phone.Nobody)(nil); !errors.As(err, &nobody) { // which names them
		for _, r := range d.Refused {
			line := r.String()
			if r.Alarm() {
				line = "ALARM: " + line
			}
			a.UI.Say(a.UI.Talk.Line(line))
		}
	}
	return refusedBy(err)
}

// refusedJSON is a node to which the device said nothing.
type refusedJSON struct {
	Node    string `strict:"node"`
	Address string `strict:"address"`
	Reason  string `strict:"reason"`
	Detail  string `strict:"detail"`
	Alarm   bool   `strict:"alarm"` // it is of an older epoch than the device has seen
}

// loginJSON is what came of it.
type loginJSON struct {
	Notice       string   `strict:"notice"`
	Account      string   `strict:"account"`
	Node         string   `strict:"node"`
	Epoch        uint64   `strict:"epoch"`
	Registration string   `strict:"registration"`
	Remaining    uint32   `strict:"remaining"`
	Limit        uint32   `strict:"limit"`
	Key          [32]byte `strict:"key_sha256,hex"`
	KeyFile      string   `strict:"key_file,optional"`
	CodeFile     string   `strict:"code_file,optional"`
	PasskeyFile  string   `strict:"passkey_file,optional"`
	// Refused are the nodes that the device refused before one answered.
	Refused []refusedJSON `strict:"refused,optional"`
}

// Format is what the JSON says that it is.
func (*loginJSON) Format() string { return "fleetctl device key result v1" }

// notice is on every screen of it.
const notice = "a reference, not a vault: the nodes' secrets are in their computers' memory"

func told(a *cli.App, r *loginJSON, done string, d *phone.Answer) error {
	r.Notice, r.Node, r.Epoch, r.Remaining, r.Limit = notice, d.Node, d.Registration.Epoch, d.Registration.Remaining, d.Registration.Limit
	r.Registration = hex.EncodeToString(d.Registration.Number[:])
	for _, n := range d.Refused {
		r.Refused = append(r.Refused, refusedJSON{n.HSM, n.Address, string(n.Why.Reason), n.Why.Error(), n.Alarm()})
	}
	rows := [][2]string{
		{done, fmt.Sprintf("%s, epoch %d, by node %s", r.Account, r.Epoch, r.Node)},
		{"guesses", fmt.Sprintf("%d of %d left", r.Remaining, r.Limit)},
		{"registration", r.Registration},
		{"key", "SHA-256 " + hex.EncodeToString(r.Key[:])},
	}
	for _, x := range [][2]string{{"key file", r.KeyFile}, {"code file", r.CodeFile}, {"passkey file", r.PasskeyFile}} {
		if x[1] != "" {
			rows = append(rows, x)
		}
	}
	return a.Emit(r, a.UI.Fields(append(rows, [2]string{"notice", notice})))
}

// secretOf parses a recovery code or password that was read, and forgets what was read.
func secretOf(text []byte, err error, parse func(string) (client.Secret, error)) (client.Secret, error) {
	if err != nil {
		return client.Secret{}, err
	}
	defer clear(text)
	s, err := parse(string(text))
	return s, cli.Usage(err)
}
