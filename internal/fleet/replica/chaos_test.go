package replica_test

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/guess/history"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
)

// chaos is a fleet that devices log in to while it is broken in every way.
type chaos struct {
	*fleet
	rec    *history.Recorder
	logins int           // as many at least
	begun  atomic.Int64  // logins
	done   atomic.Int64  // logins
	may    atomic.Int64  // be begun by now
	enough chan struct{} // closed when there are enough
	lead   atomic.Pointer[node]

	mu    sync.Mutex
	acked map[string]map[[32]byte]bool // by account: attempts that were answered for
	lost  map[[32]byte]bool            // attempts whose answer was lost at least once
	open  map[string]int               // by account: those of them that met a lock when asked again
}

const guessLimit = 10

// account is whose login one is: 25 in a row are one account's, and every fourth
// account is attacked.
func account(n int64) (name string, attacked bool) {
	return fmt.Sprintf("drill.%d", n/25), n/25%4 == 0
}

// until waits for something that logins bring about, and lets more of them begin as long
// as it doesn't happen.
func (c *chaos) until(what string, happened func() bool) {
	c.Helper()
	await.Until(c, what, func() bool {
		if happened() {
			return true
		}
		if c.done.Load()+4 > c.may.Load() {
			c.may.Add(4)
		}
		return false
	})
}

// ask has the fleet answer, as a device does: it asks again, with the same attempt,
// until somebody answers.
func (c *chaos) ask(client int, cmd guess.Command) (answer guess.Answer) {
	await.Until(c, "the fleet answers "+cmd.Kind.String(), func() bool {
		n := c.lead.Load()
		if list := c.running(); n == nil && len(list) > 0 {
			n = list[mathrand.IntN(len(list))]
		}
		if n == nil {
			return false
		}
		call := c.rec.Begin(client, cmd)
		a, err := c.submit(n, cmd)
		var other *replica.NotLeader
		var none *replica.NoMajority
		switch {
		case err == nil:
			call.Answered(a)
			answer = a
			c.lead.Store(n)
			return true
		case errors.As(err, &other):
		case errors.As(err, &none) && none.Ambiguous:
			call.Lost()
			c.mu.Lock()
			c.lost[cmd.Attempt] = true
			c.mu.Unlock()
		}
		c.lead.CompareAndSwap(n, nil)
		return false
	})
	return answer
}

// device logs in as long as there is something to see, with the right code or a wrong
// one.
func (c *chaos) device(client int) {
	for {
		n := c.begun.Add(1) - 1
		if !await.Happens(func() bool { return n < c.may.Load() || c.ended() }) || n >= c.may.Load() {
			return
		}
		c.login(client, n)
		c.done.Add(1)
	}
}

func (c *chaos) ended() bool {
	select {
	case <-c.enough:
		return true
	default:
		return false
	}
}

func (c *chaos) login(client int, n int64) {
	name, attacked := account(n)
	cmd := guessing(name, uint64(n+1))
	a := c.ask(client, cmd)
	if a.Status == guess.Unknown {
		reg := register(name, byte(1+client), guessLimit)
		if a = c.ask(client, reg); a.Status == guess.Registered {
			a = c.ask(client, cmd)
		}
	}
	c.mu.Lock()
	answered := a.Status == guess.Counted || a.Status == guess.Again
	switch {
	case answered && c.acked[name] == nil:
		c.acked[name] = map[[32]byte]bool{cmd.Attempt: true}
	case answered:
		c.acked[name][cmd.Attempt] = true
	case c.lost[cmd.Attempt]:
		c.open[name]++
	}
	c.mu.Unlock()
	if answered && !attacked && n%3 != 0 {
		c.ask(client, guess.Command{Kind: guess.Success, Account: name, Registration: a.Registration, Attempt: cmd.Attempt})
	}
}

// killedAt has a node's process end at a step of what it does, by a kill or a power
// cut, and starts it again.
func (c *chaos) killedAt(n *node, step string, within, power bool) {
	c.Helper()
	l, r := n.l, n.r
	c.Logf("%s is killed at %q, %d logins", n.member.Name, step, c.done.Load())
	l.set(func(s string) (bool, bool) { return s == step, within }, nil)
	c.until(fmt.Sprintf("%s comes to %q", n.member.Name, step), func() bool {
		select {
		case <-l.over:
			return true
		default:
			return r.Err() != nil
		}
	})
	c.kill(n, power)
	c.progress()
	c.start(n)
}

// progress waits for logins that begin now.
func (c *chaos) progress() {
	c.Helper()
	was := c.done.Load()
	c.until("logins go on", func() bool { return c.done.Load() > was+10 })
}

// steps are all that a node does to disk and HSM, each with what it is for: it is
// killed before each, within each write, and behind each.
var steps = []struct {
	step   string
	within bool
}{
	{"write log", false}, {"write log", true}, {"sync log", false}, {"anchor", false}, {"anchored", false},
	{"rename snapshot", false}, {"sync folder", false}, {"remove snapshot", false}, {"rename log", false},
}

// follower is a node that runs and doesn't lead.
func (f *fleet) follower() *node {
	f.Helper()
	lead := f.leader()
	for _, n := range f.running() {
		if n != lead {
			return n
		}
	}
	return nil
}

// events are what happens to a fleet. Each ends with a fleet that is whole.
func (c *chaos) events() (list []func()) {
	for i, s := range steps {
		list = append(list, func() {
			n := c.follower()
			if (i+len(c.founders)/2+int(c.seed))%2 == 0 { // each step is the leader's in one of the fleets
				n = c.leader()
			}
			c.killedAt(n, s.step, s.within, (i+len(c.founders)+int(c.seed)/2)%4 < 2)
		})
	}
	part := func(n *node, during func()) {
		n.cut = true
		c.wire()
		during()
		n.cut = false
		c.wire()
	}
	return append(list,
		func() { part(c.leader(), c.progress) },
		func() { part(c.follower(), c.progress) },
		func() { // the HSM of a follower hangs
			n := c.follower()
			n.memory.Block()
			c.progress()
			n.memory.Unblock()
		},
		func() { // the HSM of the leader hangs: another leads
			n := c.leader()
			n.memory.Block()
			c.progress()
			n.memory.Unblock()
		},
		func() { // the HSM of the leader fails: the node stops, and is started again
			n := c.leader()
			n.memory.Fail(errors.New("the HSM is away"))
			r := n.r
			c.until("the node stops", func() bool { return r.Err() != nil })
			c.progress()
			n.memory.Fail(nil)
			c.kill(n, false)
			c.start(n)
		},
		func() { // the leader's disk is slow
			n := c.leader()
			n.l.set(nil, func() { <-time.After(20 * time.Millisecond) })
			c.progress()
			n.l.set(nil, nil)
		},
		func() { _ = c.leader().r.Transfer(context.Background()); c.progress() },
		func() { // the power fails everywhere
			for _, n := range c.running() {
				c.kill(n, true)
			}
			for _, n := range c.members() {
				c.start(n)
			}
		},
		func() { c.replaced(c.follower()) },
	)
}

// members are the nodes that were not replaced.
func (f *fleet) members() (list []*node) {
	for _, n := range f.nodes {
		if !n.gone {
			list = append(list, n)
		}
	}
	return list
}

// replaced has a node lost with its HSM, and another incarnation join for it.
func (f *fleet) replaced(old *node) *node {
	f.Helper()
	f.kill(old, false)
	old.gone = true
	retry := func(what string, do func(*replica.Replica) error) {
		await.Until(f, what, func() bool {
			for _, n := range f.running() {
				if n.r.Status().Leads && do(n.r) == nil {
					return true
				}
			}
			return false
		})
	}
	ctx := context.Background()
	n := f.add(old.member.Name)
	n.joins = true
	early := false
	retry("another incarnation has to wait", func(r *replica.Replica) error {
		early = r.Join(ctx, n.member) == nil
		return nil
	})
	if early {
		f.Error("two incarnations of one name are members")
	}
	retry("the old incarnation is removed", func(r *replica.Replica) error { return r.Remove(ctx, old.member) })
	retry("the new one joins", func(r *replica.Replica) error { return r.Join(ctx, n.member) })
	if err := f.leader().r.Promote(ctx, n.member, 0); err == nil {
		f.Error("a member is promoted that has nothing")
	}
	f.start(n)
	retry("the new one has caught up and votes", func(r *replica.Replica) error { return r.Promote(ctx, n.member, n.r.Status().Applied) })
	return n
}

func newChaos(t *testing.T, nodes, logins int, seed uint64) *chaos {
	c := &chaos{fleet: newFleet(t, nodes, seed), rec: &history.Recorder{}, logins: logins, enough: make(chan struct{}), acked: map[string]map[[32]byte]bool{}, lost: map[[32]byte]bool{}, open: map[string]int{}}
	c.run()
	c.begin()
	return c
}

// live has devices log in and everything happen, and judges what came of it.
func (c *chaos) live() {
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() { c.device(client) })
	}
	for _, event := range c.events() {
		c.progress()
		event()
	}
	c.until("there are enough logins", func() bool { return c.done.Load() >= int64(c.logins) })
	close(c.enough)
	clients.Wait()
	c.settled()
	locks := 0
	for k := int64(0); k < c.done.Load(); k += 25 {
		name, attacked := account(k)
		a := c.ask(99, guess.Command{Kind: guess.Look, Account: name})
		if !attacked {
			continue
		}
		// Devices asked until they were answered: what was used up is what was
		// acknowledged, and what nobody could acknowledge any more for the lock.
		if got, open := len(c.acked[name]), c.open[name]; int(a.Used) < got || int(a.Used) > got+open {
			c.Errorf("%s: %d guesses are used up, %d were acknowledged, of %d nobody knows", name, a.Used, got, open)
		}
		if a.Status == guess.Locked {
			locks++
		}
	}
	v := c.rec.Judge(await.Longest)
	c.Logf("%d logins on %d nodes, %d locks: %+v", c.done.Load(), len(c.founders), locks, v)
	if !v.Good() || v.Released == 0 || locks == 0 || c.done.Load() < int64(c.logins) {
		c.Errorf("%d logins, %d locks: %+v", c.done.Load(), locks, v)
	}
	c.alike()
}

// alike holds that all nodes have the same log, and have acknowledged the same.
func (c *chaos) alike() {
	c.Helper()
	c.settled()
	var first *anchor.Anchor
	await.Until(c, "all nodes have the same log", func() bool {
		first = nil
		for _, n := range c.running() {
			a, err := anchor.Load(n.memory)
			if err != nil {
				c.Fatal(err)
			}
			if first == nil {
				first = a
			}
			if a.LastIndex != first.LastIndex || a.Head != first.Head {
				return false
			}
		}
		return first != nil
	})
	if len(c.running()) != len(c.founders) {
		c.Errorf("%d of %d nodes run", len(c.running()), len(c.founders))
	}
}

// lived is a fleet's life, and with FLEETCTL_FULL=1 ten lives, each with other steps
// that are a leader's and other writes that are lost.
func lived(t *testing.T, nodes, logins int) {
	t.Parallel()
	lives := 1
	if os.Getenv("FLEETCTL_FULL") == "1" {
		lives = 10
	}
	for seed := range lives {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newChaos(t, nodes, logins, uint64(seed)).live() })
	}
}

func TestAFleetOfThreeLivesThroughEverything(t *testing.T) { lived(t, 3, 900) }
func TestAFleetOfFiveLivesThroughEverything(t *testing.T)  { lived(t, 5, 700) }
func TestAFleetOfSevenLivesThroughEverything(t *testing.T) { lived(t, 7, 500) }
