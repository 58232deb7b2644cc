package auditlog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// node is a witness, or a group that needs k of its members.
type node struct {
	isWitness bool
	witness   int // of the policy's witnesses
	k         int
	members   []int // of nodes; all of them before this one
}

func (r *policyReader) define(name string, n node) error {
	if name == "none" {
		return errors.New("the name none has a meaning of its own")
	}
	if _, taken := r.byName[name]; taken {
		return fmt.Errorf("the name %q is taken", name)
	}
	if len(r.nodes) == maxPolicyItems {
		return fmt.Errorf("lists more than %d witnesses and groups", maxPolicyItems)
	}
	r.byName[name] = len(r.nodes)
	r.nodes = append(r.nodes, n)
	r.used = append(r.used, false)
	return nil
}

func (r *policyReader) group(f []string) error {
	if len(f) < 3 {
		return errors.New("is not `group <name> all|any|<k> <member>…`")
	}
	var members []int
	for _, name := range f[2:] {
		i, ok := r.byName[name]
		if !ok {
			return fmt.Errorf("the member %q is not defined above", name)
		}
		// A name is a member once at most, so that no witness counts twice.
		if r.used[i] {
			return fmt.Errorf("%q is a member of a group already", name)
		}
		r.used[i] = true
		members = append(members, i)
	}
	k := 0
	switch f[1] {
	case "all":
		k = len(members)
	case "any":
		k = 1
	default:
		n, err := strict.ParseUint(f[1])
		if err != nil {
			return fmt.Errorf("the threshold %w", err)
		}
		if n < 1 || n > uint64(len(members)) {
			return fmt.Errorf("the threshold is %d of %d members", n, len(members))
		}
		k = int(n)
	}
	return r.define(f[0], node{k: k, members: members})
}

func (r *policyReader) setQuorum(f []string) error {
	if len(f) != 1 {
		return errors.New("is not `quorum <name>`")
	}
	if r.ended {
		return errors.New("is a second quorum line")
	}
	r.ended = true
	if f[0] == "none" {
		return nil
	}
	i, ok := r.byName[f[0]]
	if !ok {
		return fmt.Errorf("the quorum %q is not defined above", f[0])
	}
	r.quorum = i + 1
	return nil
}

// span is when a node was satisfied: by cosignatures no later than first, and
// by cosignatures no earlier than last.
type span struct {
	ok          bool
	first, last time.Time
}

// evaluate says when the witnesses met the quorum, given the time of each one's
// cosignature; zero is for a witness that has none.
//
// A group of k is satisfied first at the k-th smallest time of its members,
// and last at the k-th greatest. So even if k-1 members lie about the time, the
// first is never earlier, and the last never later, than all honest times.
func (p *Policy) evaluate(times []time.Time) span {
	if p.quorum == 0 {
		return span{}
	}
	spans := make([]span, len(p.nodes))
	for i, n := range p.nodes {
		if n.isWitness {
			t := times[n.witness]
			spans[i] = span{!t.IsZero(), t, t}
			continue
		}
		spans[i] = n.span(spans)
	}
	return spans[p.quorum-1]
}

func (n node) span(of []span) span {
	first := make([]time.Time, 0, len(n.members))
	last := make([]time.Time, 0, len(n.members))
	for _, m := range n.members {
		if of[m].ok {
			first = append(first, of[m].first)
			last = append(last, of[m].last)
		}
	}
	if len(first) < n.k {
		return span{}
	}
	slices.SortFunc(first, time.Time.Compare)
	slices.SortFunc(last, time.Time.Compare)
	return span{true, first[n.k-1], last[len(last)-n.k]}
}
