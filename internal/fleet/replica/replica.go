// Package replica replicates the guess counter over a fleet's nodes by Raft, and
// keeps a node whose disk was put back from taking part.
//
// Raft is hashicorp's. Its stores are wrapped so that an anchor in the node's HSM is
// written wherever the node acknowledges something to others, and before it does: an
// entry that it has, a term, a vote, a snapshot. At its start a node's disk is held
// against the anchor; one that doesn't fit is refused by name, and never repaired. A
// member that is lost is replaced by another incarnation of it.
package replica

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

const logName = "log"

// mostAtOnce is how many entries Raft sends, and stores, at once.
const mostAtOnce = 128

// Anchoring is where anchors are written.
type Anchoring uint8

// AtAcknowledgement is where they have to be. AtApply is there to show that it doesn't
// do: a follower acknowledges before it applies.
const (
	AtAcknowledgement Anchoring = iota
	AtApply
)

// Member is a node of the fleet in one of its lives.
type Member struct {
	Name        string
	Incarnation [16]byte // the one that anchor.Begin drew
	Address     string   // as the stream layer dials it
}

// ID is a member's name in Raft.
func (m Member) ID() string { return m.Name + "/" + hex.EncodeToString(m.Incarnation[:]) }

// memberOf reads what ID wrote.
func memberOf(id raft.ServerID, address raft.ServerAddress) Member {
	name, life, _ := strings.Cut(string(id), "/")
	m := Member{Name: name, Address: string(address)}
	b, err := hex.DecodeString(life)
	if err == nil {
		copy(m.Incarnation[:], b)
	}
	return m
}

// Config is what a node runs with.
type Config struct {
	Dir       string // for this node alone
	Name      string
	Fleet     [16]byte      // begins the digest that names the fleet
	Keeper    anchor.Keeper // has the anchor that anchor.Begin made
	Anchoring Anchoring
	Stream    raft.StreamLayer // to the other nodes; it is closed with the replica
	Transport raft.Transport   // in the place of Stream, for tests

	// Founders are the members that the fleet begins with, the same for each of them;
	// empty for one that joins later.
	Founders []Member
	// Majority is with how many members a command is committed at least: the bundle's.
	// While fewer vote, such as the first one alone, nothing is taken.
	Majority int

	Timeout  time.Duration // without a word from the leader, until another is elected; 0: a second
	Every    uint64        // entries from one snapshot to the next; 0: 8192
	Trailing uint64        // entries that are kept behind a snapshot for slow nodes; 0: 1024
	Log      io.Writer     // what Raft says; nil: nowhere
}

// Replica is a node of the fleet that takes part.
type Replica struct {
	config   Config
	self     Member
	raft     *raft.Raft
	store    *store
	fsm      *fsm
	anchored *anchored
	unlock   func()

	started  chan struct{} // closed once raft is there
	shutdown func() raft.Future
	once     sync.Once
	failed   chan struct{}
	err      error
	closing  sync.Once
	closed   chan struct{}
	worker   sync.WaitGroup
}

// Open starts a node, or refuses to: *Refused says why.
func Open(c Config) (*Replica, error) {
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Every == 0 {
		c.Every = 8192
	}
	if c.Trailing == 0 {
		c.Trailing = 1024
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Name == "" || strings.Contains(c.Name, "/") || c.Keeper == nil || (c.Stream == nil) == (c.Transport == nil) {
		return nil, errors.New("a replica takes a name without a slash, a keeper, and either a stream layer or a transport")
	}
	if c.Majority < 1 {
		return nil, errors.New("a replica takes the fleet's majority, of at least one")
	}
	if err := durable.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(filepath.Join(c.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	r := &Replica{config: c, unlock: unlock, started: make(chan struct{}), failed: make(chan struct{}), closed: make(chan struct{})}
	if err := r.start(); err != nil {
		close(r.closed)
		if r.store != nil {
			err = errors.Join(err, r.store.log.Close())
		}
		unlock()
		return nil, err
	}
	return r, nil
}

func (r *Replica) start() error {
	c := r.config
	a, err := load(c.Dir, c.Keeper, c.Fleet)
	if err != nil {
		return err
	}
	r.fsm = &fsm{machine: guess.New(), destroyed: make(chan struct{}, 1)}
	keeper := c.Keeper
	if c.Anchoring == AtApply {
		if a, keeper, err = r.anchorAtApply(a); err != nil {
			return err
		}
	}
	r.self = Member{Name: c.Name, Incarnation: a.Incarnation}
	log, snap, err := judge(c.Dir, a)
	if err != nil {
		return err
	}
	r.anchored = newAnchored(keeper, r.fail, *a)
	r.store = &store{log: log, anchored: r.anchored, failed: r.fail, stall: &stall{most: c.Timeout}, snapshot: snap}
	r.store.snapshotted.Store(snap.Index)
	r.fsm.store = r.store
	if c.Anchoring == AtApply {
		if err := judgeApplied(c.Dir, c.Keeper, r.store); err != nil {
			return err
		}
	}
	stable := &votes{anchored: r.anchored, stop: runtime.Goexit}
	if err := r.begin(); err != nil {
		return err
	}
	trans := c.Transport
	if trans == nil {
		trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: c.Stream, MaxPool: 4, Timeout: 10 * c.Timeout, Logger: r.logger()})
	}
	trans = &gate{trans, r.store.stall}
	r.self.Address = string(trans.LocalAddr())
	if r.raft, err = raft.NewRaft(r.raftConfig(), r.fsm, r.store, stable, &snapshots{c.Dir, r.store}, trans); err != nil {
		return err
	}
	r.shutdown = sync.OnceValue(r.raft.Shutdown)
	close(r.started)
	r.worker.Go(r.compactDestroyed)
	return nil
}

func (r *Replica) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: r.config.Name, Output: r.config.Log, Level: hclog.Warn})
}

func (r *Replica) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(r.self.ID())
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = r.config.Timeout, r.config.Timeout, r.config.Timeout/2
	c.CommitTimeout = max(r.config.Timeout/100, time.Millisecond)
	c.SnapshotThreshold, c.TrailingLogs = r.config.Every, r.config.Trailing
	c.SnapshotInterval = max(r.config.Timeout, 5*time.Millisecond)
	c.BatchApplyCh, c.MaxAppendEntries = true, mostAtOnce
	c.ShutdownOnRemove = false
	c.Logger = r.logger()
	return c
}

// begin writes the first entry of a fleet's log, which has its founders: what
// raft.BootstrapCluster does, but that it can be done again after a crash within it.
func (r *Replica) begin() error {
	a := r.anchored.get()
	if len(r.config.Founders) == 0 || a.LastIndex > 0 || a.Term > 1 || a.Vote != [12]byte{} {
		return nil
	}
	var members raft.Configuration
	for _, m := range r.config.Founders {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(m.ID()), Address: raft.ServerAddress(m.Address)})
	}
	if err := r.anchored.change(func(a *anchor.Anchor) { a.Term = 1 }); err != nil {
		return err
	}
	return r.store.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(members)})
}

// fail stops the node: its disk or its HSM failed, and what they hold is judged at the
// next start.
func (r *Replica) fail(err error) {
	r.once.Do(func() {
		r.err = err
		close(r.failed)
		go func() {
			select {
			case <-r.started:
				r.shutdown()
			case <-r.closed:
			}
		}()
	})
}

// Failed is closed once the node has stopped by itself; Err says why.
func (r *Replica) Failed() <-chan struct{} { return r.failed }

// Err is why the node has stopped by itself; nil as long as it hasn't.
func (r *Replica) Err() error {
	select {
	case <-r.failed:
		return r.err
	default:
		return nil
	}
}

// Close stops the node and waits until it has stopped: for as long as its HSM takes.
func (r *Replica) Close() (err error) {
	r.closing.Do(func() {
		close(r.closed)
		err = r.shutdown().Error()
		r.worker.Wait()
		err = errors.Join(err, r.store.log.Close())
		r.unlock()
	})
	return err
}

// anchorAtApply has the anchor written where entries are applied: what others are told
// before that is in a file on the disk.
func (r *Replica) anchorAtApply(real *anchor.Anchor) (*anchor.Anchor, anchor.Keeper, error) {
	file := anchor.File(filepath.Join(r.config.Dir, "acknowledged"))
	a, err := anchor.Load(file)
	if errors.Is(err, anchor.ErrNone) {
		a = &anchor.Anchor{Fleet: real.Fleet, Incarnation: real.Incarnation}
		err = file.Write(a.Encode())
	}
	r.fsm.anchorApplied = func(index uint64) error {
		at, ok := r.store.log.At(index)
		if !ok {
			return fmt.Errorf("entry %d isn't in the log", index)
		}
		next := anchor.Anchor{Fleet: real.Fleet, Incarnation: real.Incarnation, Term: at.Term}
		setEnd(&next, at)
		return r.config.Keeper.Write(next.Encode())
	}
	return a, file, err
}

// judgeApplied is the start's judgement of an anchor that was written at apply.
func judgeApplied(dir string, k anchor.Keeper, s *store) error {
	a, err := anchor.Load(k)
	if err != nil {
		return err
	}
	want := end(*a)
	if at, ok := s.log.At(want.Index); want.Index > s.snapshot.Index && (!ok || at != want) {
		return &Refused{dir, DiskOlder, fmt.Sprintf("entry %d was applied, and isn't on the disk", want.Index)}
	}
	return nil
}
