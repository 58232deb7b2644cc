package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Status is how a node stands.
type Status struct {
	Self     Member
	Leader   Member // none known: its name is empty
	Leads    bool
	Term     uint64
	Last     uint64 // index of the log's last entry
	Applied  uint64 // index up to which it is applied
	Snapshot uint64
	Members  []Member // those that vote
	Joining  []Member // those that don't yet
	Epoch    uint64
	Secrets  [32]byte // digest of the secrets that the log begins with
	// Accounts is how many accounts there are, those whose record was erased too, Locked
	// how many of them are locked.
	Accounts, Locked int
	// Erasing says that a record was destroyed that is still in this node's files.
	Erasing bool
	Stalled bool  // it waits for its disk or its HSM, and takes no command
	Err     error // why the node has stopped by itself
}

// Status says how this node stands. It waits for neither disk nor HSM, which may hang.
func (r *Replica) Status() Status {
	s := Status{Self: r.self, Term: r.anchored.term.Load(), Last: r.raft.LastIndex(), Applied: r.raft.AppliedIndex(), Snapshot: r.store.snapshotted.Load(), Leads: r.raft.State() == raft.Leader, Stalled: r.store.stall.too(), Err: r.Err()}
	if address, id := r.raft.LeaderWithID(); id != "" {
		s.Leader = memberOf(id, address)
	}
	if f := r.raft.GetConfiguration(); f.Error() == nil {
		for _, m := range f.Configuration().Servers {
			if m.Suffrage == raft.Voter {
				s.Members = append(s.Members, memberOf(m.ID, m.Address))
			} else {
				s.Joining = append(s.Joining, memberOf(m.ID, m.Address))
			}
		}
	}
	r.fsm.mu.Lock()
	defer r.fsm.mu.Unlock()
	s.Epoch, s.Secrets = r.fsm.machine.Epoch(), r.fsm.machine.Secrets()
	s.Accounts, s.Locked = r.fsm.machine.Count()
	s.Erasing = !r.store.compacted(r.fsm.compact)
	return s
}

// Remove takes an incarnation out of the fleet. It goes through the leader.
func (r *Replica) Remove(ctx context.Context, m Member) error {
	return r.change(ctx, r.raft.RemoveServer(raft.ServerID(m.ID()), 0, 0))
}

// Join takes a new incarnation in, without a vote: it catches up first. Another
// incarnation of the same name has to be removed before.
func (r *Replica) Join(ctx context.Context, m Member) error {
	f := r.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	for _, other := range f.Configuration().Servers {
		o := memberOf(other.ID, other.Address)
		if o.ID() != m.ID() && (o.Name == m.Name || o.Address == m.Address) {
			return fmt.Errorf("%s is a member as %s at %s: remove that one first", m.Name, o.ID(), o.Address)
		}
	}
	return r.change(ctx, r.raft.AddNonvoter(raft.ServerID(m.ID()), raft.ServerAddress(m.Address), 0, 0))
}

// Promote gives a member that has joined its vote, once it has caught up: applied is
// what its Status says. It must have the entry by which it joined, and be no further
// behind than one message brings.
func (r *Replica) Promote(ctx context.Context, m Member, applied uint64) error {
	f := r.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	if commit := r.raft.CommitIndex(); applied < f.Index() || applied+mostAtOnce < commit {
		return fmt.Errorf("%s has applied entry %d, and the fleet is at %d: wait until it has caught up", m.Name, applied, commit)
	}
	for _, other := range f.Configuration().Servers {
		if string(other.ID) == m.ID() {
			return r.change(ctx, r.raft.AddVoter(other.ID, other.Address, 0, 0))
		}
	}
	return fmt.Errorf("%s has not joined", m.ID())
}

// Transfer has another node lead; it chooses which.
func (r *Replica) Transfer(ctx context.Context) error {
	return r.change(ctx, r.raft.LeadershipTransfer())
}

// change waits for a change of members; its errors are Submit's.
func (r *Replica) change(ctx context.Context, future raft.Future) error {
	switch err, known := r.wait(ctx, future); {
	case !known:
		return &NoMajority{Ambiguous: true, Err: err}
	case errors.Is(err, raft.ErrNotLeader):
		address, id := r.raft.LeaderWithID()
		return &NotLeader{memberOf(id, address)}
	default:
		return err
	}
}

// TransferTo has one member lead.
func (r *Replica) TransferTo(ctx context.Context, m Member) error {
	return r.change(ctx, r.raft.LeadershipTransferToServer(raft.ServerID(m.ID()), raft.ServerAddress(m.Address)))
}
