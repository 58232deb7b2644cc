package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
	"github.com/fleetctl/fleetctl/internal/fleet/vault"
)

// committed is the replicated log, as the vault asks it.
type committed struct{ r *replica.Replica }

func (l committed) Submit(ctx context.Context, command []byte) (guess.Answer, error) {
	a, err := l.r.Submit(ctx, command)
	var leader *replica.NotLeader
	var none *replica.NoMajority
	switch {
	case errors.As(err, &leader):
		return a, &vault.NotLeader{Leader: leader.Leader.Name}
	case errors.As(err, &none):
		return a, &vault.NoMajority{Uncertain: none.Ambiguous, Err: err}
	}
	return a, err
}

// look is how often a node looks whether it leads, or is a member; what others refuse, or
// don't answer, it tries again after more and more of it, up to seldom.
const (
	look   = 20 * time.Millisecond
	seldom = time.Second
)

// tick waits; false once ctx has ended.
func tick(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// lead has the log begin, or move to this bundle's epoch, whenever this node leads. What
// the log is of must be what this node is of.
func (n *Node) lead(ctx context.Context) {
	waits := false
	for tick(ctx, look) {
		s := n.replica.Status()
		switch {
		case s.Epoch > n.keys.Epoch:
			n.fail(fmt.Errorf("the fleet is at epoch %d, and this node has the bundle of epoch %d: start it with the newer one", s.Epoch, n.keys.Epoch))
			return
		case s.Epoch == n.keys.Epoch && s.Secrets != n.secrets:
			n.fail(errors.New("the fleet's log is of other secrets than this node has: give it the file that the fleet began with"))
			return
		case s.Epoch == n.keys.Epoch || !s.Leads:
			continue
		case len(s.Members)/2+1 < n.keys.Majority:
			if !waits {
				n.c.Log.Info("nothing is answered until more nodes have joined", "vote", len(s.Members), "nodes", len(n.c.Site.Nodes))
			}
			waits = true
			continue
		}
		kind := guess.Begin
		if s.Epoch > 0 {
			kind = guess.Move
		}
		command, err := (&guess.Command{Kind: kind, Epoch: n.keys.Epoch, Secrets: n.secrets}).Encode()
		if err != nil {
			n.fail(err)
			return
		}
		if _, err := n.replica.Submit(ctx, command); err != nil && ctx.Err() == nil {
			n.c.Log.Info("the log doesn't begin yet", "error", err)
			tick(ctx, seldom)
		}
	}
}

// join has this incarnation become a member, where it isn't one. What keeps it from that is
// told once, until it changes.
func (n *Node) join(ctx context.Context) {
	told := map[string]string{}
	tell := func(node, what string) {
		if told[node] != what {
			n.c.Log.Info("this node has no vote yet", "asked", node, "answer", what)
		}
		told[node] = what
	}
	for wait := look; tick(ctx, wait); wait = min(2*wait, seldom) {
		s := n.replica.Status()
		if isMember(s.Members, s.Self) {
			if len(told) > 0 {
				n.c.Log.Info("this node has joined, and has a vote")
			}
			return
		}
		for _, o := range n.c.Site.Nodes {
			if o.HSM == n.c.HSM || ctx.Err() != nil {
				continue
			}
			r, err := n.peers.ask(o.HSM, &question{Ask: askJoin, Incarnation: s.Self.Incarnation, Applied: n.replica.Status().Applied})
			switch {
			case err != nil:
				tell(o.HSM, err.Error())
			case r.Error != "":
				tell(o.HSM, r.Error)
			}
		}
	}
}

func isMember(list []replica.Member, m replica.Member) bool {
	for _, o := range list {
		if o.ID() == m.ID() {
			return true
		}
	}
	return false
}

// asked answers another node, which has shown that it has the key of its HSM.
func (n *Node) asked(ctx context.Context, from string, q *question) *reply {
	select {
	case <-n.started:
	case <-ctx.Done():
		return &reply{Error: "this node is still starting"}
	}
	s := n.replica.Status()
	if !s.Leads {
		return &reply{Leader: s.Leader.Name, Error: "this node doesn't lead"}
	}
	var err error
	switch q.Ask {
	case askJoin:
		err = n.takeIn(ctx, s, replica.Member{Name: from, Incarnation: q.Incarnation, Address: from}, q.Applied)
	case askLead:
		err = n.handOver(ctx, s, from)
	default:
		err = fmt.Errorf("a node asks %q, which this one doesn't know", q.Ask)
	}
	if err != nil {
		return &reply{Leader: s.Self.Name, Error: err.Error()}
	}
	return &reply{Done: true, Leader: s.Self.Name}
}

// takeIn takes an incarnation in: the one before it is removed, it catches up without a
// vote, then it has one. Each time that it asks, it is taken one step further.
func (n *Node) takeIn(ctx context.Context, s replica.Status, m replica.Member, applied uint64) error {
	for _, o := range append(append([]replica.Member{}, s.Members...), s.Joining...) {
		if o.Name == m.Name && o.ID() != m.ID() {
			n.c.Log.Warn("an incarnation is removed, and another one takes its place", "removed", o.ID(), "joins", m.ID())
			if err := n.replica.Remove(ctx, o); err != nil {
				return err
			}
		}
	}
	if isMember(s.Members, m) {
		return nil
	}
	if !isMember(s.Joining, m) {
		if err := n.replica.Join(ctx, m); err != nil {
			return err
		}
		return errors.New("it has joined, and catches up")
	}
	return n.replica.Promote(ctx, m, applied)
}

func (n *Node) handOver(ctx context.Context, s replica.Status, to string) error {
	for _, m := range s.Members {
		if m.Name == to {
			return n.replica.TransferTo(ctx, m)
		}
	}
	return fmt.Errorf("%s has no vote", to)
}

// Lead asks the node that leads to hand over to this one.
func (n *Node) Lead(ctx context.Context) error {
	for {
		s := n.replica.Status()
		if s.Leads {
			return nil
		}
		if s.Leader.Name != "" {
			if r, err := n.peers.ask(s.Leader.Name, &question{Ask: askLead}); err == nil && r.Done {
				continue
			} else if err == nil {
				n.c.Log.Info("the leader doesn't hand over", "reason", r.Error)
			}
		}
		if !tick(ctx, 5*look) {
			return ctx.Err()
		}
	}
}
