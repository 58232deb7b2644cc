package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/chain"
)

// snapshots is Raft's snapshot store: one file, which the anchor has the digest of.
type snapshots struct {
	dir   string
	store *store
}

func snapshotName(at chain.Point) string {
	return fmt.Sprintf("snapshot-%016x-%016x", at.Index, at.Term)
}

// Create begins a snapshot: of this node's state, or one that another node sends.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, members raft.Configuration, configIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{of: s, snapshot: snapshot{at: chain.Point{Index: index, Term: term}, configIndex: configIndex, members: members.Clone()}}, nil
}

// List gives the one snapshot that there is.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	at := s.current()
	if at.Index == 0 {
		return nil, nil
	}
	meta, _, err := s.open(at)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

func (s *snapshots) current() chain.Point {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.snapshot
}

// Open opens the snapshot, if it is still the one that there is.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	at := s.current()
	if at.Index == 0 || id != snapshotName(at) {
		return nil, nil, fmt.Errorf("snapshot %s is there no more", id)
	}
	meta, content, err := s.open(at)
	if err != nil {
		return nil, nil, err
	}
	return meta, io.NopCloser(bytes.NewReader(content)), nil
}

// open reads the snapshot's file, which must be the anchored one.
func (s *snapshots) open(at chain.Point) (*raft.SnapshotMeta, []byte, error) {
	file, err := durable.ReadFile(filepath.Join(s.dir, snapshotName(at)))
	if err != nil {
		return nil, nil, err
	}
	if digest(file) != s.store.anchored.get().Snapshot {
		return nil, nil, fmt.Errorf("snapshot %s is another one than the anchor's", snapshotName(at))
	}
	snap, err := parseSnapshot(file)
	if err != nil {
		return nil, nil, err
	}
	content := append(snap.at.Head[:], snap.state...)
	return &raft.SnapshotMeta{Version: 1, ID: snapshotName(at), Index: at.Index, Term: at.Term, Configuration: snap.members, ConfigurationIndex: snap.configIndex, Size: int64(len(content))}, content, nil
}

// sink takes a snapshot's content: the chain's head at its entry, then the state.
type sink struct {
	of       *snapshots
	snapshot snapshot
	own      bool // of this node's state
	content  bytes.Buffer
	ended    bool
}

func (k *sink) ID() string { return snapshotName(k.snapshot.at) }

func (k *sink) Write(p []byte) (int, error) {
	if k.content.Len()+len(p) > mostState {
		return 0, errors.New("the snapshot is too large")
	}
	return k.content.Write(p)
}

func (k *sink) Cancel() error {
	k.ended = true
	return nil
}

// ErrOtherWay means that this node's log went another way than the fleet's, and
// further: it has entries that the fleet never took. It has the fleet's snapshot
// now, and takes it up at its next start.
var ErrOtherWay = errors.New("this node's log went another way than the fleet's; the node goes on with the fleet's once it is started again")

// Close makes the snapshot the node's: file, fsync, anchor; raft compacts the log
// then.
func (k *sink) Close() error {
	if k.ended {
		return errors.New("the snapshot was cancelled or closed")
	}
	k.ended = true
	content := k.content.Bytes()
	if len(content) < 32 {
		return errors.New("the snapshot has no head")
	}
	at := &k.snapshot.at
	copy(at.Head[:], content)
	k.snapshot.state = content[32:]
	file, err := k.snapshot.encode()
	if err != nil {
		return err
	}
	s := k.of.store
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.snapshot
	if at.Index < before.Index || k.own && at.Index == before.Index {
		return fmt.Errorf("snapshot %s is older than %s", k.ID(), snapshotName(before))
	}
	here, ok := s.log.At(at.Index)
	chained := ok && here == *at
	if k.own && !chained {
		return errors.New("the snapshot isn't of this node's log")
	}
	if err := durable.Replace(filepath.Join(k.of.dir, k.ID()), file, 0o600); err != nil {
		return s.check(err)
	}
	further := !chained && s.log.Last().Index >= at.Index
	if err := s.anchored.change(func(a *anchor.Anchor) {
		a.Snapshot = digest(file)
		if !chained {
			setEnd(a, *at)
		}
	}); err != nil {
		return err
	}
	s.snapshot, s.installed = *at, !k.own && chained
	s.snapshotted.Store(at.Index)
	if before.Index > 0 && before != *at {
		if err := remove(k.of.dir, snapshotName(before)); err != nil {
			return s.check(err)
		}
	}
	if further { // raft would go on from its log's end, which is gone
		s.failed(ErrOtherWay)
		return ErrOtherWay
	}
	return nil
}

func remove(dir, name string) error {
	if err := durable.Remove(filepath.Join(dir, name)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}
