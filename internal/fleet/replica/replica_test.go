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
	// Another node says who leads.
	lead := f.leader()
	for _, n := range f.nodes {
		var other *replica.NotLeader
		if _, err := f.submit(n, guessing(alice, 9)); n != lead && (!errors.As(err, &other) || other.Leader != lead.member) {
			t.Errorf("%v", err)
		}
	}
}

func TestWithoutAMajorityNothingIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 2).run()
	f.begin()
	f.is(guess.Registered, register(alice, 1, 5))
	lead := f.leader()
	for _, n := range f.nodes {
		if n != lead {
			f.kill(n, false)
		}
	}
	var none *replica.NoMajority
	if a, err := f.submit(lead, guessing(alice, 1)); !errors.As(err, &none) || !none.Ambiguous || a.Status != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
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
