package replica

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

// fsm applies committed entries to the guess counter.
type fsm struct {
	store *store
	// anchorApplied writes an anchor where an entry is applied; nil: that is not where
	// anchors are written.
	anchorApplied func(index uint64) error
	destroyed     chan struct{} // has one where compact grew

	mu      sync.Mutex
	machine *guess.Machine
	applied uint64
	compact uint64 // entries up to this one hold what was destroyed
}

// Apply gives a guess.Answer.
func (f *fsm) Apply(l *raft.Log) any {
	f.mu.Lock()
	answer := f.machine.Apply(l.Index, l.Data)
	f.applied = l.Index
	switch {
	case answer.Refused:
		f.compact = l.Index
	case answer.Destroyed:
		f.compact = l.Index - 1
	}
	f.mu.Unlock()
	if answer.Destroyed || answer.Refused {
		select {
		case f.destroyed <- struct{}{}:
		default:
		}
	}
	if f.anchorApplied != nil {
		if err := f.anchorApplied(l.Index); err != nil {
			return err
		}
	}
	return answer
}

// Snapshot takes the state as it is now, to be written later.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &state{f.store, f.machine.Later()}, nil
}

// Restore goes on from a snapshot's content.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(content) < 32 {
		return errors.New("the snapshot has no head")
	}
	m, err := guess.Restore(content[32:])
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.machine, f.applied = m, m.Index()
	return nil
}

// state is the machine's state at some entry.
type state struct {
	store *store
	write func() []byte
}

// Persist writes the chain's head at the snapshot's entry, then the state.
func (s *state) Persist(to raft.SnapshotSink) error {
	k, ok := to.(*sink)
	if !ok {
		return fmt.Errorf("a snapshot goes into a file of the node's, not into %T", to)
	}
	at, ok := s.store.log.At(k.snapshot.at.Index)
	if !ok {
		return fmt.Errorf("entry %d isn't in the log any more", k.snapshot.at.Index)
	}
	k.own = true
	_, err := k.Write(append(at.Head[:], s.write()...))
	return err // raft closes what was written, and cancels what wasn't
}

func (s *state) Release() {}
