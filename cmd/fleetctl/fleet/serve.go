//go:build cgo && unix

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type serveOptions struct {
	nodeOptions
	cli.Service
	limit     uint32
	timeout   time.Duration
	reread    time.Duration
	anchoring string
	ahead     time.Duration
	diskDelay time.Duration
}

type servedJSON struct {
	Notice      string `strict:"notice"`
	Node        string `strict:"node"`
	Fleet       string `strict:"fleet"`
	Epoch       uint64 `strict:"epoch"`
	Listen      string `strict:"listen"`
	ListenPeers string `strict:"listen_peers"`
	Metrics     string `strict:"metrics,optional"`
	Anchor      string `strict:"anchor"`
}

// Format is what the JSON says that it is.
func (*servedJSON) Format() string { return "fleetctl fleet serve result v1" }

func serveCmd(a *cli.App) *cobra.Command {
	o := &serveOptions{}
	c := cli.Command("serve BUNDLE", "Run one node of a reference fleet",
		`Serve runs one node of a reference fleet, on the machine that has its HSM: it
answers devices with the bundle and its proof in a session by the HSM's key, and
replicates the count of guesses with the other nodes. Its disk is held against
the anchor in its HSM first: one that was put back from a copy is refused.

It is a reference, not a vault: in a vault this code runs inside the HSM. Only
accounts whose names begin with drill. are kept.

Bundle and proof are read again every --reread, for a fresher proof; with
another key set start it anew. On SIGUSR1 it asks to lead the fleet.`,
		"  fleetctl fleet serve bundle.json --policy device.json --site fleet.yaml --hsm hsm-1 --secrets secrets.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error { return o.run(a, cmd, args[0]) })
	o.flags(c)
	o.Service.Flags(c, false)
	f := c.Flags()
	f.Uint32Var(&o.limit, "limit", 10, "how many `guesses` an account has: the same for every node")
	cli.Duration(f, &o.timeout, "election", time.Second, "how long the node that leads may be silent before another one is elected")
	cli.Duration(f, &o.reread, "reread", time.Minute, "how often bundle and proof are read again")
	f.StringVar(&o.anchoring, "anchoring", "acknowledgement", "where anchors are written; apply is too late, as a drill shows")
	f.DurationVar(&o.ahead, "clock-ahead", 0, "how far this node's clock is ahead, in a drill")
	f.DurationVar(&o.diskDelay, "disk-delay", 0, "how much longer each sync of this node's disk takes, in a drill")
	cobra.CheckErr(errors.Join(f.MarkHidden("anchoring"), f.MarkHidden("clock-ahead"), f.MarkHidden("disk-delay")))
	return c
}

// check refuses what no node can run with, before anything is opened.
func (o *serveOptions) check() error {
	switch {
	case o.limit == 0 || o.limit > guess.MostLimit:
		return cli.Usagef("", "--limit is %d; an account has 1 to %d guesses", o.limit, guess.MostLimit)
	case o.timeout < leastTimeout:
		return cli.Usagef("", "--election is %s; at least %s are taken", strict.FormatDuration(o.timeout), strict.FormatDuration(leastTimeout))
	case o.reread <= 0:
		return cli.Usagef("", "--reread is %s; it is more than nothing", strict.FormatDuration(o.reread))
	}
	return nil
}

// leastTimeout is what Raft takes: a word to another node needs some of it.
const leastTimeout = 10 * time.Millisecond

func (o *serveOptions) run(a *cli.App, cmd *cobra.Command, file string) error {
	if err := o.check(); err != nil {
		return err
	}
	if now := a.Now; o.ahead != 0 {
		a.Now = func() time.Time { return now().Add(o.ahead) }
	}
	h, err := o.here(a, cmd, file)
	if err != nil {
		return err
	}
	at := replica.AtAcknowledgement
	switch {
	case o.anchoring == "apply":
		at = replica.AtApply
		a.UI.Say(a.UI.Talk.Line("Anchors are written too late, as a drill shows: this node forgets guesses."))
	case o.anchoring != "acknowledgement":
		return cli.Usagef("", "--anchoring is %q", strict.Clip(o.anchoring))
	}
	if o.diskDelay > 0 {
		defer durable.Slow(h.self.Dir, o.diskDelay)()
	}
	t, err := openToken(cmd.Context(), a, h)
	if err != nil {
		return err
	}
	defer t.Close()
	k, err := h.keeper(t)
	if err != nil {
		return err
	}
	var n *node.Node
	w, err := o.Watch(a, "fleet", func() error { return n.Well() })
	if err != nil {
		return err
	}
	sign, err := t.signs(h, o.roles.Session)
	if err != nil {
		return err
	}
	signPQ, err := t.signs(h, o.roles.PostQuantum)
	if err != nil {
		return err
	}
	agree, err := t.agrees(h, o.roles.Sealing)
	if err != nil {
		return err
	}
	n, err = node.Start(node.Config{
		Site: h.site, HSM: o.hsm, Bundle: h.bundle, Proof: h.proof, Role: o.roles.Session, PostQuantum: o.roles.PostQuantum, Sealing: o.roles.Sealing, Secrets: h.secrets,
		Sign: sign, SignPostQuantum: signPQ, Agree: agree, Keeper: k, Anchoring: at, Founder: h.founder(), Beside: o.beside, Limit: o.limit, Timeout: o.timeout,
		Version: cli.Version, Log: w.Log, RaftLog: a.Stderr,
	})
	if err != nil {
		return refusedAtStart(err)
	}
	devices, nodes := n.Listening()
	parts, metrics, err := o.Operator(cmd.Context(), w)
	if err != nil {
		return err
	}
	r := &servedJSON{notice, o.hsm, h.keys.Fleet, h.keys.Epoch, devices, nodes, metrics, h.self.Anchor}
	rows := [][2]string{{"node", r.Node}, {"fleet", fmt.Sprintf("%s, epoch %d", r.Fleet, r.Epoch)}, {"devices", devices}, {"nodes", nodes}, {"anchor", anchorWords(r.Anchor)}, {"notice", notice}}
	if err := a.Emit(r, a.UI.Fields(rows)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	go o.again(ctx, n, w, h, file)
	go leadWhenAsked(ctx, n)
	failed := make(chan error, 1)
	if len(parts) > 0 {
		go func() { failed <- serve.Run(ctx, w.Log, parts...); stop() }()
	} else {
		failed <- nil
	}
	err = n.Run(ctx)
	stop()
	if errors.Is(err, replica.ErrOtherWay) {
		return cli.Exit(cli.ExitPending, err)
	}
	if err = errors.Join(err, <-failed); err != nil {
		return cli.Exit(cli.ExitFailed, err)
	}
	return nil
}

// refusedAtStart says what to do with a node whose disk isn't what its anchor says.
func refusedAtStart(err error) error {
	var r *replica.Refused
	switch {
	case errors.As(err, &r) && r.Reason == replica.NoAnchor:
		return cli.Usage(strict.Errorf("", "%v", err).WithHint("fleetctl fleet init makes the first node of a fleet, fleetctl fleet join every other"))
	case errors.As(err, &r):
		return cli.Exit(cli.ExitWrong, strict.Errorf("", "%v", err).Because(err).
			WithHint("the node is replaced, never repaired: fleetctl fleet leave takes its anchor out of its HSM, fleetctl fleet join makes it anew in an empty folder"))
	}
	return cli.Exit(cli.ExitFailed, err)
}

// leadWhenAsked has the node ask to lead on SIGUSR1.
func leadWhenAsked(ctx context.Context, n *node.Node) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	defer signal.Stop(asked)
	for {
		select {
		case <-asked:
			within, stop := context.WithTimeout(ctx, time.Minute)
			_ = n.Lead(within)
			stop()
		case <-ctx.Done():
			return
		}
	}
}

// again reads bundle and proof again, until the node ends.
func (o *serveOptions) again(ctx context.Context, n *node.Node, w *serve.Watched, h *here, file string) {
	for tick := time.NewTicker(o.reread); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		b, proof, err := cli.ReadAnswer(file, o.proof)
		if err == nil && bytes.Equal(b, h.bundle) && bytes.Equal(proof, h.proof) {
			continue
		}
		if err == nil {
			err = n.Update(b, proof)
		}
		if err != nil {
			w.Log.Warn("the files can't be handed out; what was read before is", "error", err)
			continue
		}
		h.bundle, h.proof = b, proof
		w.Log.Info("another bundle or proof is handed out")
	}
}
