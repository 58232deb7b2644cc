package replica_test

import (
	"errors"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/replica"
)

func TestAFleetCountsOnceWhoeverLeads(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 1).run()
	f.begin()
	f.is(guess.Registered, register(alice, 1, 5))
	for n := range uint64(3) {
		if a := f.is(guess.Counted, guessing(alice, n)); a.Remaining != uint32(4-n) {
			t.Errorf("guess %d: %+v", n, a)
		}
		lead := f.leader()
		f.kill(lead, n == 1)
		if a := f.is(guess.Again, guessing(alice, n)); a.Used != uint32(n+1) {
			t.Errorf("guess %d by the next leader: %+v", n, a)
		}
		f.start(lead)
	}
	f.settled()
	for _, n := range f.nodes {
		if s := n.r.Status(); len(s.Members) != 3 || s.Epoch != 1 || s.Err != nil {
			t.Errorf("%+v", s)
		}
	}
	await.Until(t, "the other nodes say who leads", func() bool {
		lead := f.leader()
		for _, n := range f.nodes {
			var other *replica.NotLeader
			if _, err := f.submit(n, guessing(alice, 9)); n != lead && (!errors.As(err, &other) || other.Leader != lead.member) {
				return false
			}
		}
		return true
	})
}

func TestTheFirstMemberAnswersNothingUntilAMajorityOfTheFleetVotes(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, 3)
	f.majority = 2
	f.run()
	first := f.nodes[0]
	await.Until(t, "it leads, alone", func() bool { return first.r.Status().Leads })
	before := first.r.Status().Last
	var none *replica.NoMajority
	if a, err := f.submit(first, guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}); !errors.As(err, &none) || none.Ambiguous || a.Status != 0 {
		t.Fatalf("alone it answers %+v, %v", a, err)
	}
	if last := first.r.Status().Last; last != before {
		t.Errorf("it has written entry %d", last)
	}
	second := f.add("b")
	second.joins = true
	f.start(second)
	if err := first.r.Join(t.Context(), second.member); err != nil {
		t.Fatal(err)
	}
	if _, err := f.submit(first, guessing(alice, 1)); !errors.As(err, &none) {
		t.Fatalf("with one that has no vote yet it answers: %v", err)
	}
	await.Until(t, "the second one votes", func() bool {
		return first.r.Promote(t.Context(), second.member, second.r.Status().Applied) == nil
	})
	f.begin()
	f.is(guess.Registered, register(alice, 1, 5))
	// Removed again, it takes the majority with it.
	await.Until(t, "the second one is removed", func() bool {
		return len(second.r.Status().Members) == 1 || f.leader().r.Remove(t.Context(), first.member) == nil
	})
	await.Until(t, "the other one leads, alone", func() bool { return second.r.Status().Leads && len(second.r.Status().Members) == 1 })
	if a, err := f.submit(second, guessing(alice, 1)); !errors.As(err, &none) || a.Status != 0 {
		t.Fatalf("it answers a guess alone: %+v, %v", a, err)
	}
}

func TestWithoutAMajorityNothingIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 2).run()
	f.begin()
	f.is(guess.Registered, register(alice, 1, 5))
	var lead *node
	var none *replica.NoMajority
	await.Until(t, "a leader that is alone takes a guess", func() bool {
		lead = f.leader()
		for _, n := range f.nodes {
			if n != lead {
				f.kill(n, false)
			}
		}
		a, err := f.submit(lead, guessing(alice, 1))
		if err == nil || a.Status != 0 {
			t.Fatalf("it answers: %+v", a)
		}
		if errors.As(err, &none) && none.Ambiguous {
			return true
		}
		for _, n := range f.nodes {
			if n != lead {
				f.start(n)
			}
		}
		return false
	})
	await.Until(t, "it has noticed that it is alone", func() bool { return !lead.r.Status().Leads })
	if a, err := f.submit(lead, guessing(alice, 2)); !errors.As(err, &none) || none.Ambiguous || a.Status != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, n := range f.nodes {
		if n != lead {
			f.start(n)
		}
	}
	// Asked again, the first is counted, once; the second never was.
	if a := f.do(guessing(alice, 1)); a.Used != 1 {
		t.Errorf("%+v", a)
	}
	if a := f.is(guess.Counted, guessing(alice, 2)); a.Used != 2 {
		t.Errorf("%+v", a)
	}
}
