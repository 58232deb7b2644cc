package ceremony

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/room"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
)

type roomOptions struct {
	runOptions
	exchange, operator, log, logKey, predecessor string
	operatorPQ                                   string
	places, previous                             []string
}

func roomCmd(a *cli.App, appendTo room.AppendTo) *cobra.Command {
	var o roomOptions
	c := cli.Command("room PLAN", "A whole ceremony at one terminal, from its opening to its close",
		`Room walks a plan from its opening to its close in one process, one thing at a
time. Where signatures are needed it shows what is signed and says who is still
missing. It takes them from people who type their name and what they agree to,
with keys from --keys or ssh-agent, and from files that come into the exchange
folder, where it also puts the texts for those who sign elsewhere, and the
request. A third party's response and a log's proof come in there too.

At every question "stop" ends the process, "exception" records that something
went otherwise than planned, and "adjourn" interrupts the ceremony as planned.
Whatever ended the process, the same command goes on where the ceremony stands.
Each step is that of a command of its own, which can be used instead.`,
		`  fleetctl ceremony room plan.yaml --site site.yaml --dir ceremony --policy room.yaml --keys /media/keys --log log --log-key log.pem --operator 'pkcs11:token=operator;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so'
  fleetctl ceremony room plan.yaml --site site.yaml --dir ceremony --policy room.yaml --exchange /media/exchange`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "site", "dir"); err != nil {
				return err
			}
			r, err := o.room(a, args[0], appendTo)
			if err != nil {
				return err
			}
			stop, err := o.serves(cmd.Context(), a, r.Config.Plan)
			if err != nil {
				return err
			}
			defer stop()
			if err := r.Walk(cmd.Context()); err != nil {
				return o.Over(session.InRoom(o.dir, err))
			}
			account, err := folder.Read(o.dir)
			if err != nil {
				return cli.Wrong(err)
			}
			return o.Over(tellStatus(a, o.dir, account))
		})
	o.flags(c)
	f := c.Flags()
	f.StringVar(&o.exchange, "exchange", "", "the `folder` for what comes and goes: signatures, request, response, proof (default: DIR-exchange)")
	f.StringArrayVar(&o.places, "keys", nil, "a `folder` or file with people's OpenSSH keys, beside those in ssh-agent; may be repeated")
	f.StringVar(&o.operator, "operator", "", "the operator's "+strings.TrimPrefix(pkcs11Help, "a "))
	f.StringVar(&o.operatorPQ, "operator-pq", "", "the operator's ML-DSA `key`, where the plan names one beside the other: as --operator")
	f.StringVar(&o.log, "log", "", "the `directory` of the log that the bundle is appended to (default: its proof comes through the exchange)")
	f.StringVar(&o.logKey, "log-key", "", "the log's `key`, as fleetctl log append takes it")
	f.StringVar(&o.predecessor, "predecessor", "", "the `file` of the epoch before: its bundle, its fleet-keys.json, or its ceremony's folder")
	f.StringArrayVar(&o.previous, "previous-statement", nil, "a third party's response `file` for the epoch before, where it isn't in what --predecessor names")
	return c
}

const pkcs11Help = "a `key` in an HSM, pkcs11:token=…;id=%01?module-path=/…&pin-source=file:/…"

// room is the ceremony with everything that its steps need.
func (o *roomOptions) room(a *cli.App, plan string, appendTo room.AppendTo) (*room.Room, error) {
	p, err := o.read(plan)
	if err != nil {
		return nil, err
	}
	switch {
	case (o.log == "") != (o.logKey == ""):
		return nil, cli.Usagef("", "--log and --log-key go together")
	case o.operator != "" && signer.InToken(o.operator) != nil, o.operatorPQ != "" && signer.InToken(o.operatorPQ) != nil:
		return nil, cli.Usagef("give it as pkcs11:token=…;id=…?module-path=…", "the operator's key has to be in an HSM")
	case o.exchange == "":
		o.exchange = strings.TrimRight(o.dir, "/") + "-exchange"
	}
	config, err := o.config(a, p)
	if err != nil {
		return nil, err
	}
	r := &room.Room{
		App: a, Config: config, StandIn: &o.StandIn, Site: o.site, Exchange: o.exchange, Keys: o.places, Operator: o.operator, OperatorPQ: o.operatorPQ,
	}
	if r.Predecessor, r.Previous, err = session.ReadPredecessor(o.predecessor, o.previous, p); err != nil {
		return nil, err
	}
	if o.log != "" {
		r.Log = func(ctx context.Context, j *engine.Journal) ([]byte, error) {
			return appendTo(ctx, a, j, o.log, o.logKey)
		}
	}
	return r, nil
}
