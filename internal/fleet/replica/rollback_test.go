package replica_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/guess/history"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
)

// attack is who puts disks back. L, A and Y are the fleet's nodes.
type attack struct {
	*fleet
	rec     *history.Recorder
	answers int // guesses that were answered
	refused []*replica.Refused
	next    uint64
}

// begun is a fleet with an account of ten guesses, all of whose nodes have applied the
// same.
func begun(t *testing.T, how string, timeout time.Duration) *attack {
	f := newFleet(t, 3, 7)
	f.timeout = timeout
	f.noAnchor = how == "off"
	if how == "apply" {
		f.anchoring = replica.AtApply
	}
	f.run()
	a := &attack{fleet: f, rec: &history.Recorder{}}
	f.begin()
	c := register(alice, 1, 10)
	call := a.rec.Begin(0, c)
	call.Answered(f.is(guess.Registered, c))
	f.settled()
	return a
}

// leads has a node lead.
func (a *attack) leads(n *node) {
	a.Helper()
	await.Until(a, "the node leads", func() bool {
		for lead := a.leader(); lead != n; lead = a.leader() {
			if err := lead.r.Transfer(context.Background()); err != nil {
				return false
			}
		}
		return true
	})
	a.settled()
}

// guesses asks a node for guesses until one is not answered.
func (a *attack) guesses(lead *node, n int) {
	for range n {
		a.next++
		if !a.guess(lead, a.next) {
			return
		}
	}
}

// allGuesses asks whoever leads, until all are answered: there is a majority.
func (a *attack) allGuesses(n int) {
	a.Helper()
	for range n {
		a.next++
		await.Until(a, "the guess is answered", func() bool { return a.guess(a.leader(), a.next) })
	}
}

func (a *attack) guess(lead *node, n uint64) (answered bool) {
	c := guessing(alice, n)
	call := a.rec.Begin(0, c)
	answer, err := a.submit(lead, c)
	var none *replica.NoMajority
	switch {
	case errors.As(err, &none) && none.Ambiguous:
		call.Lost()
		return false
	case err != nil:
		return false
	}
	call.Answered(answer)
	if answer.Status == guess.Counted || answer.Status == guess.Again {
		a.answers++
	}
	return true
}

// again starts nodes that were stopped; those that are refused stay away.
func (a *attack) again(nodes ...*node) (up []*node) {
	a.Helper()
	for _, n := range nodes {
		err := a.open(n)
		var refused *replica.Refused
		switch {
		case err == nil:
			up = append(up, n)
		case errors.As(err, &refused):
			a.refused = append(a.refused, refused)
		default:
			a.Fatal(err)
		}
	}
	return up
}

// withOneBlocked: Y and L are up, Y's HSM doesn't answer. Y's disk is put back, and
// Y and A are up, which was down.
func (a *attack) withOneBlocked() {
	l, b, y := a.nodes[0], a.nodes[1], a.nodes[2]
	a.kill(b, false)
	a.leads(l)
	old := a.copyOf(y)
	y.memory.Block()
	a.guesses(l, 15)
	a.kill(y, false)
	a.kill(l, false)
	a.putBack(y, old)
	if up := a.again(b, y); len(up) == 2 {
		a.allGuesses(15)
	}
}

// whileOthersAnswer: Y's HSM doesn't answer, L and A do. The disks of A and Y are put
// back.
func (a *attack) whileOthersAnswer() {
	l, b, y := a.nodes[0], a.nodes[1], a.nodes[2]
	a.leads(l)
	old := []map[string][]byte{a.copyOf(b), a.copyOf(y)}
	y.memory.Block()
	a.allGuesses(10)
	for _, n := range a.nodes {
		a.kill(n, false)
	}
	a.putBack(b, old[0])
	a.putBack(y, old[1])
	if up := a.again(b, y); len(up) == 2 {
		a.allGuesses(15)
	}
}

// withDisks: after ten guesses the disks of so many nodes are put back, and those of the
// others are lost as far as a majority can do without them.
func (a *attack) withDisks(n int) {
	away := a.nodes[0]
	old := map[*node]map[string][]byte{}
	for _, n := range a.nodes {
		a.kill(n, true)
		old[n] = a.copyOf(n)
	}
	a.run()
	if n == 1 { // one node has not seen the guesses
		a.kill(away, true)
		a.allGuesses(10)
	} else {
		a.allGuesses(10)
		a.settled()
	}
	for _, n := range a.nodes {
		a.kill(n, true)
	}
	for _, back := range a.nodes[3-n:] {
		a.putBack(back, old[back])
	}
	up := a.nodes
	switch n {
	case 1:
		up = []*node{away, a.nodes[2]}
	case 2:
		up = a.nodes[1:]
	}
	if up = a.again(up...); len(up) >= 2 {
		a.allGuesses(15)
	}
}

func TestGuessesComeBackByNoDiskThatIsPutBack(t *testing.T) {
	for name, does := range map[string]func(*attack){
		"one, its HSM blocked": (*attack).withOneBlocked,
		"two, one HSM blocked": (*attack).whileOthersAnswer,
		"one":                  func(a *attack) { a.withDisks(1) },
		"two":                  func(a *attack) { a.withDisks(2) },
		"all":                  func(a *attack) { a.withDisks(3) },
	} {
		for _, how := range []string{"acknowledgement", "apply", "off"} {
			t.Run(name+", anchors: "+how, func(t *testing.T) {
				t.Parallel()
				blocked := name == "one, its HSM blocked"
				most := timeout
				if blocked { // no other node may come to lead meanwhile
					most = 4 * timeout
				}
				a := begun(t, how, most)
				does(a)
				v := a.rec.Judge(await.Longest)
				t.Logf("%d guesses answered, %d refused, %+v", a.answers, len(a.refused), v)
				for _, r := range a.refused {
					if r.Reason != replica.DiskOlder {
						t.Errorf("%v", r)
					}
				}
				switch {
				case how == "acknowledgement":
					want := map[string]int{"one": 1, "two": 2, "all": 3, "two, one HSM blocked": 1}[name]
					if !v.Good() || a.answers != 10 || len(a.refused) != want {
						t.Errorf("%d guesses were answered, %d disks refused: %+v", a.answers, len(a.refused), v)
					}
				case how == "off", blocked:
					// The checker sees it, or it would see nothing above either.
					if v.Linearizable || a.answers != 20 || len(a.refused) != 0 {
						t.Errorf("the attack failed, or was not seen: %d guesses, %d refused, %+v", a.answers, len(a.refused), v)
					}
				}
			})
		}
	}
}

// vote asks a node for its vote, as a candidate of the fleet.
func (f *fleet) vote(n *node, candidate replica.Member, term uint64) bool {
	f.Helper()
	_, trans := raft.NewInmemTransportWithTimeout(raft.ServerAddress(candidate.Address), await.Longest)
	trans.Connect(n.trans.LocalAddr(), n.trans)
	defer trans.Close()
	req := &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(candidate.ID()), Addr: []byte(candidate.Address)}, Term: term, LastLogIndex: 1 << 40, LastLogTerm: term - 1}
	var resp raft.RequestVoteResponse
	if err := trans.RequestVote(raft.ServerID(n.member.ID()), n.trans.LocalAddr(), req, &resp); err != nil {
		f.Fatal(err)
	}
	return resp.Granted
}

// A node that forgot its vote would elect two leaders in one term.
func TestAVoteIsGivenOnceWhateverTheDiskSays(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		f := newFleet(t, 3, 8)
		f.noAnchor = off
		n, b, c := f.nodes[0], f.nodes[1].member, f.nodes[2].member
		f.start(n)
		f.kill(n, true)
		old := f.copyOf(n)
		f.start(n)
		if !f.vote(n, b, 100) || f.vote(n, c, 100) {
			t.Fatal("the first is voted for, and nobody else")
		}
		f.kill(n, true)
		f.putBack(n, old)
		f.start(n)
		if again := f.vote(n, c, 100); again != off {
			t.Errorf("anchors off: %t; the disk was put back, and another is voted for: %t", off, again)
		}
		if !off && (f.vote(n, b, 99) || !f.vote(n, b, 101)) {
			t.Error("an older term has a vote, or the next one hasn't")
		}
		f.kill(n, false)
	}
}

// Wherever a node is killed while it votes: it votes for nobody else in that term.
func TestANodeThatIsKilledWhileItVotesKeepsToIt(t *testing.T) {
	t.Parallel()
	for _, killed := range []string{"anchor", "anchored"} {
		f := newFleet(t, 3, 10)
		n, b, c := f.nodes[0], f.nodes[1].member, f.nodes[2].member
		f.start(n)
		steps := 0 // the term is the first, the vote the second
		n.l.set(func(s string) (bool, bool) {
			if s == killed {
				steps++
			}
			return steps == 2, false
		}, nil)
		if f.vote(n, b, 100) {
			t.Errorf("killed at %q it has voted", killed)
		}
		f.kill(n, true)
		f.start(n)
		if other := f.vote(n, c, 100); other != (killed == "anchor") {
			t.Errorf("killed at %q: another is voted for: %t", killed, other)
		}
	}
}

// Raft panics where it can't keep a term. A node whose HSM is away stops instead.
func TestANodeWhoseHSMIsAwayVotesForNobodyAndStops(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 11)
	n := f.nodes[0]
	f.start(n)
	away := errors.New("the HSM is away")
	n.memory.Fail(away)
	if f.vote(n, f.nodes[1].member, 100) {
		t.Error("it has voted")
	}
	await.Until(t, "it has stopped", func() bool { return n.r.Err() != nil })
	if err := n.r.Err(); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	var none *replica.NoMajority
	if _, err := f.submit(n, guessing(alice, 1)); !errors.As(err, &none) || none.Ambiguous {
		t.Errorf("%v", err)
	}
	if err := n.r.Close(); err != nil {
		t.Error(err)
	}
	n.memory.Fail(nil)
	f.start(n)
}

func TestADiskThatDoesNotFitItsAnchorIsRefusedByName(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 9)
	f.every = 8
	f.run()
	f.begin()
	for n := range uint64(20) {
		f.is(guess.Unknown, guessing(alice, n))
	}
	f.settled()
	n, more := f.nodes[0], uint64(100)
	await.Until(t, "there is a snapshot, and an entry after it", func() bool {
		more++
		f.is(guess.Unknown, guessing(alice, more))
		f.settled()
		s := n.r.Status()
		return s.Snapshot > 0 && s.Last > s.Snapshot && s.Last < s.Snapshot+f.every-1
	})
	f.kill(n, true)
	whole := f.copyOf(n)
	snap := ""
	for name := range whole {
		if len(name) > 20 {
			snap = name
		}
	}
	kept, err := n.memory.Read()
	if err != nil {
		t.Fatal(err)
	}
	other, err := anchor.Parse(kept)
	if err != nil {
		t.Fatal(err)
	}
	other.Head[0] ^= 1
	foreign := *other
	foreign.Fleet[0] ^= 1
	without := func(name string) map[string][]byte {
		files := map[string][]byte{}
		for k, v := range whole {
			if k != name {
				files[k] = v
			}
		}
		return files
	}
	changed := func(name string, at int) map[string][]byte {
		files := without("")
		files[name] = append([]byte{}, files[name]...)
		files[name][(len(files[name])+at)%len(files[name])] ^= 1
		return files
	}
	for _, c := range []struct {
		what   string
		want   replica.Reason
		disk   map[string][]byte
		anchor []byte
	}{
		{"an empty disk", replica.SnapshotMissing, map[string][]byte{"lock": nil}, kept},
		{"no snapshot", replica.SnapshotMissing, without(snap), kept},
		{"another snapshot", replica.SnapshotMissing, changed(snap, -1), kept},
		{"no log", replica.DiskOlder, without("log"), kept},
		{"a changed entry", replica.DiskOlder, changed("log", -1), kept},
		{"no file of a log", replica.BadLog, changed("log", 0), kept},
		{"another log", replica.DiskOther, whole, other.Encode()},
		{"another fleet", replica.OtherFleet, whole, foreign.Encode()},
		{"a torn anchor", replica.BadAnchor, whole, kept[:100]},
		{"no anchor", replica.NoAnchor, whole, nil},
	} {
		f.putBack(n, c.disk)
		n.memory = &anchor.Memory{}
		if c.anchor != nil {
			if err := n.memory.Write(c.anchor); err != nil {
				t.Fatal(err)
			}
		}
		var refused *replica.Refused
		if err := f.open(n); !errors.As(err, &refused) || refused.Reason != c.want {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// What is whole is taken, and what lies beyond the anchor is cut off.
	beyond := without("")
	beyond["log"] = append(append([]byte{}, whole["log"]...), "torn by a power cut"...)
	f.putBack(n, beyond)
	n.memory = &anchor.Memory{}
	if err := n.memory.Write(kept); err != nil {
		t.Fatal(err)
	}
	f.start(n)
	f.settled()
}
