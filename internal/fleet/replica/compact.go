package replica

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// compactDestroyed takes what was destroyed out of the node's files too: a snapshot of
// the state, which has it no more, and the log without the entries that have it.
func (r *Replica) compactDestroyed() {
	for {
		select {
		case <-r.fsm.destroyed:
		case <-r.closed:
			return
		case <-r.failed:
			return
		}
		// Raft takes no snapshot while members change: it is tried until it does.
		for !r.compact() {
			select {
			case <-time.After(r.config.Timeout / 10):
			case <-r.closed:
				return
			case <-r.failed:
				return
			}
		}
	}
}

// compact is one try; true where nothing is left that was destroyed.
func (r *Replica) compact() bool {
	to := r.fsm.toCompact()
	if r.store.compacted(to) {
		return true
	}
	if r.store.snapshotted.Load() < to+1 {
		if err := r.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			return false
		}
	}
	return r.store.compactTo(to) && r.fsm.toCompact() == to
}

func (f *fsm) toCompact() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.compact
}

// compacted says that the log has none of the entries up to an index.
func (s *store) compacted(to uint64) bool { return s.log.Base().Index >= to }

// compactTo takes away the entries up to an index, if a snapshot has them.
func (s *store) compactTo(to uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.log.Base().Index >= to:
		return true
	case s.snapshot.Index < to || s.log.Last().Index < to:
		return false
	}
	return s.check(s.log.Compact(to)) == nil
}
