package replica_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

var fleetName = [16]byte{0xf1}

// timeout is Raft's, long enough for seven nodes on two cores that are busy.
const timeout = 500 * time.Millisecond

// node is a member of a fleet in this process: its disk and its HSM outlive its
// processes.
type node struct {
	member replica.Member
	disk   *simdisk.Disk
	keeper anchor.Keeper // what the replica writes to; nil: hsm, which is a Memory's
	memory *anchor.Memory

	l     *life
	r     *replica.Replica // nil: it doesn't run
	trans *raft.InmemTransport
	cut   bool // from the others
	gone  bool // lost for good, with its HSM
	joins bool // it is no founder
}

// fleet is a fleet in this process.
type fleet struct {
	testing.TB
	anchoring replica.Anchoring
	seed      uint64
	every     uint64
	timeout   time.Duration // Raft's
	founders  []replica.Member
	majority  int
	noAnchor  bool // anchors are in files on the nodes' disks

	mu    sync.Mutex
	nodes []*node
}

func newFleet(t testing.TB, n int, seed uint64) *fleet {
	f := &fleet{TB: t, seed: seed, every: 64, timeout: timeout, majority: n/2 + 1}
	for i := range n {
		f.founders = append(f.founders, f.add(string(rune('a'+i))).member)
	}
	t.Cleanup(func() {
		for _, n := range f.nodes {
			f.kill(n, false)
		}
	})
	return f
}

// run starts all nodes.
func (f *fleet) run() *fleet {
	f.Helper()
	for _, n := range f.nodes {
		f.start(n)
	}
	return f
}

// add makes a member that doesn't run yet, with an HSM that has its first anchor.
func (f *fleet) add(name string) *node {
	f.Helper()
	n := &node{disk: simdisk.New(f, f.seed+uint64(len(f.nodes))), memory: &anchor.Memory{}}
	a, err := anchor.Begin(n.memory, fleetName, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	n.member = replica.Member{Name: name, Incarnation: a.Incarnation, Address: name + "-" + fmt.Sprintf("%x", a.Incarnation[:4])}
	f.mu.Lock()
	f.nodes = append(f.nodes, n)
	f.mu.Unlock()
	return n
}

// open starts a node, or says why it is refused.
func (f *fleet) open(n *node) error {
	n.l = born(f, n.disk)
	_, n.trans = raft.NewInmemTransportWithTimeout(raft.ServerAddress(n.member.Address), 10*f.timeout)
	keeper := anchor.Keeper(hsm{n.memory, n.l})
	if f.noAnchor {
		file := anchor.File(n.l.root + "/anchor")
		if _, err := file.Read(); errors.Is(err, anchor.ErrNone) {
			data, err := n.memory.Read()
			if err != nil {
				return err
			}
			if err := file.Write(data); err != nil {
				return err
			}
		}
		keeper = file
	}
	log := io.Writer(nil)
	if os.Getenv("FLEETCTL_RAFT_LOG") != "" {
		log = os.Stderr
	}
	founders := f.founders
	if n.joins {
		founders = nil
	}
	r, err := replica.Open(replica.Config{Dir: n.l.root, Name: n.member.Name, Fleet: fleetName, Keeper: keeper, Anchoring: f.anchoring, Transport: n.trans, Founders: founders, Majority: f.majority, Timeout: f.timeout, Every: f.every, Trailing: 16, Log: log})
	if err != nil {
		return err
	}
	f.mu.Lock()
	n.r = r
	f.mu.Unlock()
	f.wire()
	return nil
}

func (f *fleet) start(n *node) {
	f.Helper()
	if err := f.open(n); err != nil {
		f.Fatal(err)
	}
}

// wire connects all nodes that run and are on the same side.
func (f *fleet) wire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.nodes {
		for _, b := range f.nodes {
			switch {
			case a == b || a.r == nil || b.r == nil:
			case a.cut == b.cut:
				a.trans.Connect(b.trans.LocalAddr(), b.trans)
			default:
				a.trans.Disconnect(b.trans.LocalAddr())
			}
		}
	}
}

// kill ends a node's process as kill -9 does, or as a power cut does.
func (f *fleet) kill(n *node, power bool) {
	if n.l == nil {
		return
	}
	n.l.kill()
	f.mu.Lock()
	n.r = nil
	n.trans.DisconnectAll()
	for _, o := range f.nodes {
		if o != n && o.r != nil {
			o.trans.Disconnect(n.trans.LocalAddr())
		}
	}
	f.mu.Unlock()
	n.memory.Abandon()
	if power {
		n.disk.Cut()
	}
}

// running are the nodes that run.
func (f *fleet) running() (list []*node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if n.r != nil {
			list = append(list, n)
		}
	}
	return list
}

// submit has one node take a command.
func (f *fleet) submit(n *node, c guess.Command) (guess.Answer, error) {
	f.Helper()
	data, err := c.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.mu.Lock()
	r, l := n.r, n.l
	f.mu.Unlock()
	if r == nil {
		return guess.Answer{}, &replica.NoMajority{Err: errors.New("the node doesn't run")}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := context.AfterFunc(ctx, func() {})
	defer stop()
	go func() {
		select {
		case <-l.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return r.Submit(ctx, data)
}

// leader waits for a node that leads a majority.
func (f *fleet) leader() *node {
	f.Helper()
	var found *node
	await.Until(f, "a node leads", func() bool {
		for _, n := range f.running() {
			if _, err := f.submit(n, guess.Command{Kind: guess.Look, Account: "drill.nobody"}); err == nil {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// do has the fleet answer a command, whoever leads.
func (f *fleet) do(c guess.Command) (answer guess.Answer) {
	f.Helper()
	await.Until(f, "the fleet answers", func() bool {
		for _, n := range f.running() {
			var err error
			if answer, err = f.submit(n, c); err == nil {
				return true
			}
		}
		return false
	})
	return answer
}

func (f *fleet) is(want guess.Status, c guess.Command) guess.Answer {
	f.Helper()
	a := f.do(c)
	if a.Status != want {
		f.Fatalf("%v of %q is answered %v, not %v", c.Kind, c.Account, a.Status, want)
	}
	return a
}

// begin has the log begin.
func (f *fleet) begin() {
	f.Helper()
	f.is(guess.Done, guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}})
}

// settled waits until all that run have applied the same.
func (f *fleet) settled() {
	f.Helper()
	lead := f.leader()
	await.Until(f, "all nodes have applied what the leader has", func() bool {
		want := lead.r.Status().Last
		return !slices.ContainsFunc(f.running(), func(n *node) bool { return n.r.Status().Applied < want })
	})
}

const alice = "drill.alice"

func register(account string, reg byte, limit uint32) guess.Command {
	return guess.Command{Kind: guess.Register, Account: account, Registration: [16]byte{reg}, Epoch: 1, Limit: limit, Record: []byte("the-record-of-" + account), OPRFKey: []byte("the-key-of-" + account)[:12], Envelope: []byte("the-envelope-of-" + account)}
}

func guessing(account string, n uint64) guess.Command {
	c := guess.Command{Kind: guess.Guess, Account: account, Attempt: [32]byte{1}}
	for i := range 8 {
		c.Attempt[31-i] = byte(n >> (8 * i))
	}
	return c
}
