package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

// NotLeader means that another node leads. The command was not taken.
type NotLeader struct{ Leader Member }

func (e *NotLeader) Error() string {
	return fmt.Sprintf("this node doesn't lead: ask %s at %s", e.Leader.Name, e.Leader.Address)
}

// NoMajority means that no majority of the fleet was found to have the command.
// Where it is Ambiguous, it may be committed nevertheless, now or later.
type NoMajority struct {
	Ambiguous bool
	Err       error
}

func (e *NoMajority) Error() string {
	if e.Ambiguous {
		return fmt.Sprintf("no majority of the fleet has answered, and whether the command was taken is not known: %v", e.Err)
	}
	return fmt.Sprintf("the fleet has no majority that leads; the command was not taken: %v", e.Err)
}

func (e *NoMajority) Unwrap() error { return e.Err }

// Submit has a command committed by a majority and applied, and gives its answer. Its
// errors are *NotLeader and *NoMajority.
func (r *Replica) Submit(ctx context.Context, command []byte) (guess.Answer, error) {
	if err := ctx.Err(); err != nil {
		return guess.Answer{}, &NoMajority{Err: err}
	}
	if err := r.Err(); err != nil {
		return guess.Answer{}, &NoMajority{Err: err}
	}
	select {
	case <-r.closed:
		return guess.Answer{}, &NoMajority{Err: raft.ErrRaftShutdown}
	default:
	}
	if r.store.stall.too() {
		return guess.Answer{}, &NoMajority{Err: errStalled}
	}
	if r.raft.State() == raft.Leader {
		if err := r.enough(); err != nil {
			return guess.Answer{}, &NoMajority{Err: err}
		}
	}
	future := r.raft.Apply(command, r.config.Timeout)
	err, known := r.wait(ctx, future)
	if !known {
		return guess.Answer{}, &NoMajority{Ambiguous: true, Err: err}
	}
	switch {
	case err == nil:
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		if address, id := r.raft.LeaderWithID(); id != "" && id != raft.ServerID(r.self.ID()) {
			return guess.Answer{}, &NotLeader{memberOf(id, address)}
		}
		return guess.Answer{}, &NoMajority{Err: err}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return guess.Answer{}, &NoMajority{Err: err}
	default:
		return guess.Answer{}, &NoMajority{Ambiguous: true, Err: err}
	}
	if err := r.enough(); err != nil { // a member was removed meanwhile
		return guess.Answer{}, &NoMajority{Ambiguous: true, Err: err}
	}
	switch answer := future.Response().(type) {
	case guess.Answer:
		return answer, nil
	case error:
		return guess.Answer{}, &NoMajority{Ambiguous: true, Err: answer}
	}
	return guess.Answer{}, &NoMajority{Ambiguous: true, Err: errors.New("the command has no answer")}
}

// enough says whether what the members that vote commit has the fleet's majority. Raft
// is content with more than half of those that it knows: of the first one, with itself.
func (r *Replica) enough() error {
	f := r.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	voters := 0
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	if commit := voters/2 + 1; commit < r.config.Majority {
		return fmt.Errorf("%d members vote, who would commit with %d; the fleet's majority is %d: others have to join first", voters, commit, r.config.Majority)
	}
	return nil
}

// wait waits for what becomes of a command; known is false where nobody can say.
func (r *Replica) wait(ctx context.Context, future raft.Future) (err error, known bool) {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	look := time.NewTicker(r.config.Timeout)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err, true
		case <-ctx.Done():
			return ctx.Err(), false
		case <-r.failed:
			return r.err, false
		case <-r.closed: // raft may have taken it and answer no more
			return raft.ErrRaftShutdown, false
		case <-look.C:
			if r.store.stall.too() {
				return errStalled, false
			}
		}
	}
}
