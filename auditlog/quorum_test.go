package auditlog

import (
	"math/rand/v2"
	"testing"
	"time"
)

func at(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

func TestQuorumOfNestedGroups(t *testing.T) {
	// Two of X and any of Y: the example of tlog-policy.
	p := &Policy{
		nodes: []node{
			{isWitness: true, witness: 0}, {isWitness: true, witness: 1}, {isWitness: true, witness: 2},
			{k: 2, members: []int{0, 1, 2}},
			{isWitness: true, witness: 3}, {isWitness: true, witness: 4},
			{k: 1, members: []int{4, 5}},
			{k: 2, members: []int{3, 6}},
		},
		quorum: 8,
	}
	for _, test := range []struct {
		times       [5]int64 // X1 X2 X3 Y1 Y2; 0 is none
		first, last int64    // 0 is no quorum
	}{
		{[5]int64{1, 2, 3, 4, 5}, 4, 2},
		{[5]int64{1, 2, 3, 0, 5}, 5, 2},
		{[5]int64{1, 0, 3, 2, 0}, 3, 1},
		{[5]int64{1, 0, 0, 2, 3}, 0, 0},
		{[5]int64{1, 2, 3, 0, 0}, 0, 0},
		{[5]int64{0, 0, 0, 0, 0}, 0, 0},
		{[5]int64{9, 9, 9, 9, 9}, 9, 9},
		{[5]int64{1, 100, 1, 1, 1}, 1, 1}, // one liar moves neither
		{[5]int64{50, 1, 50, 50, 50}, 50, 50},
	} {
		times := make([]time.Time, 5)
		for i, s := range test.times {
			times[i] = at(s)
		}
		got := p.evaluate(times)
		if got.ok != (test.first != 0) || !got.first.Equal(at(test.first)) || !got.last.Equal(at(test.last)) {
			t.Errorf("%v: got %+v", test.times, got)
		}
	}
}

// met is the quorum by the book, without times: which witnesses cosigned.
func (p *Policy) met(i int, signed []bool) bool {
	n := p.nodes[i]
	if n.isWitness {
		return signed[n.witness]
	}
	k := 0
	for _, m := range n.members {
		if p.met(m, signed) {
			k++
		}
	}
	return k >= n.k
}

// TestQuorumTimesByTheirDefinition compares evaluate with the definition of
// QuorumTime and NewestQuorumTime, tried for every time there is.
func TestQuorumTimesByTheirDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		p, witnesses := randomQuorum(r)
		times := make([]time.Time, witnesses)
		for i := range times {
			times[i] = at(r.Int64N(8))
		}
		keep := func(is func(time.Time) bool) bool {
			signed := make([]bool, witnesses)
			for i, x := range times {
				signed[i] = !x.IsZero() && is(x)
			}
			return p.met(p.quorum-1, signed)
		}
		want := span{ok: keep(func(time.Time) bool { return true })}
		for s := int64(7); s >= 1 && want.ok; s-- {
			if keep(func(x time.Time) bool { return !x.After(at(s)) }) {
				want.first = at(s)
			}
			if want.last.IsZero() && keep(func(x time.Time) bool { return !x.Before(at(s)) }) {
				want.last = at(s)
			}
		}
		if got := p.evaluate(times); got != want {
			t.Fatalf("nodes %+v, times %v: got %+v, want %+v", p.nodes, times, got, want)
		}
	}
}

func randomQuorum(r *rand.Rand) (*Policy, int) {
	p := &Policy{}
	witnesses := 1 + r.IntN(6)
	var free []int
	for i := range witnesses {
		free = append(free, len(p.nodes))
		p.nodes = append(p.nodes, node{isWitness: true, witness: i})
	}
	for len(free) > 1 {
		n := 1 + r.IntN(len(free))
		r.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
		group := node{k: 1 + r.IntN(n), members: free[:n:n]}
		free = append(free[n:], len(p.nodes))
		p.nodes = append(p.nodes, group)
		if n == 1 && r.IntN(2) == 0 {
			break
		}
	}
	p.quorum = len(p.nodes)
	return p, witnesses
}
