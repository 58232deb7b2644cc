package replica_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
)

// secrets are what of alice's registration must be in no file once she is locked.
func secrets(c guess.Command) [][]byte { return [][]byte{c.Record, c.OPRFKey, c.Envelope} }

func (f *fleet) held(n *node, c guess.Command) string {
	for _, s := range secrets(c) {
		if name := f.holds(n, s); name != "" {
			return name
		}
	}
	return ""
}

// erased waits until a node says that nothing that was destroyed is in its files.
func (f *fleet) erased(n *node, applied uint64) {
	f.Helper()
	await.Until(f, n.member.Name+" has erased it", func() bool {
		s := n.r.Status()
		return s.Applied >= applied && !s.Erasing
	})
}

func TestAfterALockTheRecordIsInNoFileOfTheNodesThatRun(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 21)
	f.every = 1 << 20 // no snapshot but those that erase
	f.run()
	f.begin()
	reg := register(alice, 1, 1)
	reg.OPRFKey = []byte("alice's key alone")
	other := register("drill.bob", 2, 5)
	f.is(guess.Registered, other)
	f.is(guess.Registered, reg)
	f.settled()
	for _, n := range f.nodes {
		if f.held(n, reg) == "" {
			t.Fatalf("%s has nothing to erase", n.member.Name)
		}
	}
	away := f.follower()
	f.kill(away, true)
	f.is(guess.Counted, guessing(alice, 1))
	f.is(guess.Locked, guessing(alice, 2))
	f.is(guess.Locked, reg) // sent once more, it is in the log once more
	end := f.leader().r.Status().Last
	for _, n := range f.running() {
		f.erased(n, end)
		if name := f.held(n, reg); name != "" {
			t.Errorf("%s: it is still in %s", n.member.Name, name)
		}
		if f.held(n, other) == "" {
			t.Errorf("%s has nothing of another account any more", n.member.Name)
		}
	}
	// The node that was down has it until it has caught up.
	if f.held(away, reg) == "" {
		t.Error("the disk of the node that is down has it no more")
	}
	f.start(away)
	f.settled()
	f.erased(away, end)
	if name := f.held(away, reg); name != "" {
		t.Errorf("it is still in %s of the node that was down", name)
	}
	// And with every node started anew it is as before.
	for _, n := range f.nodes {
		f.kill(n, true)
	}
	for _, n := range f.nodes {
		f.start(n)
	}
	f.is(guess.Locked, guessing(alice, 3))
	f.is(guess.Counted, guessing("drill.bob", 1))
}

func TestWhatANewRegistrationOrARetirementDestroysIsInNoFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 22).run()
	f.begin()
	first := register(alice, 1, 5)
	f.is(guess.Registered, first)
	second := register(alice, 2, 5)
	second.Record, second.OPRFKey, second.Envelope = []byte("another record"), []byte("another key"), []byte("another envelope")
	f.is(guess.Registered, second)
	gone := func(c guess.Command) {
		t.Helper()
		end := f.leader().r.Status().Last
		for _, n := range f.nodes {
			f.erased(n, end)
			if name := f.held(n, c); name != "" {
				t.Errorf("%s: it is still in %s", n.member.Name, name)
			}
		}
	}
	gone(first)
	f.is(guess.Done, guess.Command{Kind: guess.Retire, Epoch: 1})
	gone(second)
}

// tcp is a stream layer without any protection: for tests of what is above it.
type tcp struct{ net.Listener }

func (tcp) Dial(to raft.ServerAddress, most time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(to), most)
}

func TestAFleetOnTheComputersOwnDisksAndTCP(t *testing.T) {
	t.Parallel()
	var members []replica.Member
	var streams []tcp
	keepers := []*anchor.Memory{{}, {}, {}}
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	for i, k := range keepers {
		a, err := anchor.Begin(k, fleetName, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, tcp{l})
		members = append(members, replica.Member{Name: string(rune('a' + i)), Incarnation: a.Incarnation, Address: l.Addr().String()})
	}
	var nodes []*replica.Replica
	for i := range members {
		c := replica.Config{Dir: dirs[i], Name: members[i].Name, Fleet: fleetName, Keeper: keepers[i], Stream: streams[i], Founders: members, Majority: 2, Timeout: timeout}
		r, err := replica.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		if _, err := replica.Open(c); err == nil {
			t.Error("two processes have one folder")
		}
		nodes = append(nodes, r)
	}
	reg := register(alice, 1, 1)
	for _, c := range []guess.Command{{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}, reg, guessing(alice, 1), guessing(alice, 2)} {
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		await.Until(t, "a node takes it", func() bool {
			for _, r := range nodes {
				if _, err := r.Submit(context.Background(), data); err == nil {
					return true
				}
			}
			return false
		})
	}
	for i, r := range nodes {
		await.Until(t, "the record is erased", func() bool { s := r.Status(); return s.Snapshot > 0 && !s.Erasing })
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		files, err := filepath.Glob(filepath.Join(dirs[i], "*"))
		if err != nil || len(files) < 3 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range secrets(reg) {
				if bytes.Contains(data, s) {
					t.Errorf("%q is still in %s", s, name)
				}
			}
		}
	}
	if _, err := nodes[0].Submit(context.Background(), []byte{1}); err == nil {
		t.Error("a node that was closed answers")
	}
}
