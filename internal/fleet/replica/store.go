package replica

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/chain"
)

// store is Raft's log store: the log's file, and the anchor that is written where
// raft takes an entry for stored and says so to others.
type store struct {
	log      *chain.Log
	anchored *anchored
	failed   func(error)
	stall    *stall

	mu       sync.Mutex // one changes log and snapshot at a time
	snapshot chain.Point
	// snapshotted is its index, for whoever may not wait for the disk or the HSM.
	snapshotted atomic.Uint64
	// Another node's snapshot was installed that lies on this log's chain, and raft is
	// about to remove the log.
	installed bool
}

// IsMonotonic says that there are no gaps: raft removes the log where a snapshot of
// another node takes its place.
func (s *store) IsMonotonic() bool { return true }

// FirstIndex is the first entry's; 0 where there is none.
func (s *store) FirstIndex() (uint64, error) {
	if base := s.log.Base(); s.log.Last().Index > base.Index {
		return base.Index + 1, nil
	}
	return 0, nil
}

// LastIndex is the last entry's; 0 where there is none.
func (s *store) LastIndex() (uint64, error) {
	if last := s.log.Last(); last.Index > s.log.Base().Index {
		return last.Index, nil
	}
	return 0, nil
}

// GetLog gives an entry.
func (s *store) GetLog(index uint64, to *raft.Log) error {
	e, ok := s.log.Entry(index)
	if !ok {
		return raft.ErrLogNotFound
	}
	*to = raft.Log{Index: e.Index, Term: e.Term, Type: raft.LogType(e.Type), Data: e.Data, Extensions: e.Extra}
	return nil
}

// StoreLog is StoreLogs of one.
func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs adds entries: log, fsync, anchor. When it returns, others are told that
// this node has them.
func (s *store) StoreLogs(logs []*raft.Log) error {
	s.stall.begin()
	defer s.stall.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(logs) == 0 {
		return nil
	}
	s.installed = false
	if s.log.Last().Index < s.snapshot.Index { // a snapshot of another node took its place
		if err := s.check(s.log.Reset(s.snapshot)); err != nil {
			return err
		}
	}
	entries := make([]*chain.Entry, len(logs))
	for i, l := range logs {
		entries[i] = &chain.Entry{Index: l.Index, Term: l.Term, Type: uint8(l.Type), Data: l.Data, Extra: l.Extensions}
	}
	if err := s.check(s.log.Append(entries...)); err != nil {
		return err
	}
	last := s.log.Last()
	return s.anchored.change(func(a *anchor.Anchor) { setEnd(a, last) })
}

// DeleteRange takes entries away: from the beginning, once a snapshot has them; or
// from the end, where the fleet's log goes another way. Then the anchor goes back
// first: what it says must be on the disk whenever the process ends.
func (s *store) DeleteRange(first, last uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	base, at, installed := s.log.Base(), s.log.Last(), s.installed
	s.installed = false
	switch {
	case installed && last == at.Index && first == base.Index+1:
		// What comes after the snapshot was acknowledged, and stays.
		if s.snapshot.Index <= base.Index {
			return nil
		}
		return s.check(s.log.Compact(s.snapshot.Index))
	case first <= base.Index || last > at.Index || first > last:
		return s.check(fmt.Errorf("no entries %d to %d: the log has %d to %d", first, last, base.Index+1, at.Index))
	case first == base.Index+1 && last <= s.snapshot.Index:
		return s.check(s.log.Compact(last))
	case last == at.Index && first > s.snapshot.Index:
		to, _ := s.log.At(first - 1)
		if err := s.anchored.change(func(a *anchor.Anchor) { setEnd(a, to) }); err != nil {
			return err
		}
		return s.check(s.log.Cut(first - 1))
	}
	return s.check(fmt.Errorf("entries %d to %d lie in the middle of the log, which has %d to %d", first, last, base.Index+1, at.Index))
}

// check has the node stop where its disk fails: what is on it is not known then, and
// is judged at the next start.
func (s *store) check(err error) error {
	if err != nil {
		s.failed(fmt.Errorf("writing the log: %w", err))
	}
	return err
}
