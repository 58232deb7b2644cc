package replica

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/chain"
)

// anchored is the anchor as it was written last. Whatever is acknowledged to other
// nodes goes through it first.
type anchored struct {
	keeper anchor.Keeper
	failed func(error) // told of the first write that failed

	mu  sync.Mutex
	now anchor.Anchor
	err error

	term atomic.Uint64 // now's, for whoever may not wait for the HSM
}

func newAnchored(k anchor.Keeper, failed func(error), now anchor.Anchor) *anchored {
	a := &anchored{keeper: k, failed: failed, now: now}
	a.term.Store(now.Term)
	return a
}

// change writes the anchor with what it is given to change; where that is nothing,
// it writes nothing. After a failure it is not known what the HSM holds, and nothing
// is written any more.
func (k *anchored) change(with func(*anchor.Anchor)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	next := k.now
	with(&next)
	if next == k.now {
		return nil
	}
	if err := next.Check(); err != nil {
		k.err = fmt.Errorf("an anchor that can't be: %w", err)
	} else if err := k.keeper.Write(next.Encode()); err != nil {
		k.err = fmt.Errorf("writing the anchor: %w", err)
	}
	if k.err != nil {
		k.failed(k.err)
		return k.err
	}
	k.now = next
	k.term.Store(next.Term)
	return nil
}

func (k *anchored) get() anchor.Anchor {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// end is the point that an anchor's log ends at.
func end(a anchor.Anchor) chain.Point {
	return chain.Point{Index: a.LastIndex, Term: a.LastTerm, Head: a.Head}
}

func setEnd(a *anchor.Anchor, p chain.Point) {
	a.LastIndex, a.LastTerm, a.Head = p.Index, p.Term, p.Head
}

// Raft's names for what it keeps of terms and votes.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVote     = "LastVoteCand"
)

var errKey = errors.New("raft keeps terms and votes, and nothing else")

// votes is Raft's stable store: the term and the vote, kept in the anchor alone.
// There is no vote but in the current term.
type votes struct {
	anchored *anchored
	stop     func() // ends the goroutine of raft's that calls

	mu        sync.Mutex
	voteTerm  uint64 // the term of the vote that is about to be given
	candidate []byte // whom this process voted for; the anchor has a digest of it
}

// SetUint64 keeps the current term.
func (v *votes) SetUint64(key []byte, n uint64) error {
	switch string(key) {
	case keyVoteTerm: // kept together with the candidate, which follows
		v.mu.Lock()
		defer v.mu.Unlock()
		v.voteTerm = n
		return nil
	case keyTerm:
		err := v.anchored.change(func(a *anchor.Anchor) {
			if n > a.Term {
				a.Term, a.Vote = n, [12]byte{}
			}
		})
		if err == nil && v.anchored.get().Term != n {
			err = fmt.Errorf("term %d is over", n)
		}
		if err != nil {
			v.stop() // raft would panic
		}
		return err
	}
	return errKey
}

// Set keeps a vote: in the anchor, before it is given.
func (v *votes) Set(key, candidate []byte) error {
	if string(key) != keyVote {
		return errKey
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.anchored.get()
	vote := anchor.VoteFor(candidate)
	if v.voteTerm != now.Term || now.Vote != [12]byte{} && now.Vote != vote {
		return fmt.Errorf("a vote in term %d, of term %d in which another was given", v.voteTerm, now.Term)
	}
	v.candidate = append([]byte(nil), candidate...)
	return v.anchored.change(func(a *anchor.Anchor) { a.Vote = vote })
}

// Get gives the candidate voted for; of a vote that an earlier process gave the
// digest, which is no candidate's: nobody is given it a second time.
func (v *votes) Get(key []byte) ([]byte, error) {
	if string(key) != keyVote {
		return nil, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	vote := v.anchored.get().Vote
	switch {
	case vote == [12]byte{}:
		return nil, nil
	case anchor.VoteFor(v.candidate) == vote:
		return v.candidate, nil
	}
	return vote[:], nil
}

// GetUint64 gives the current term, and the term of the vote.
func (v *votes) GetUint64(key []byte) (uint64, error) {
	now := v.anchored.get()
	switch {
	case string(key) == keyTerm, string(key) == keyVoteTerm && now.Vote != [12]byte{}:
		return now.Term, nil
	}
	return 0, nil
}
