// Package epochs judges the chain of a namespace's epochs: the packages, bundles and
// notices of epochs 1 to n, each verified for itself under one policy, and all of them held
// against each other.
//
// Nothing in a chain shows that there is no later epoch, and no other ending: a report says
// what was given.
package epochs

import (
	"cmp"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxObjects is how many packages, bundles and notices a chain may have. A fleet has an
// epoch every few years.
const maxObjects = 256

// Question says what the caller asks of a chain.
type Question struct {
	Now time.Time // the verifier's time; required
	// From is the chain's first epoch; 0 stands for 1. What was before is not asked for.
	From uint64
	// Current demands that the newest keys here are neither retired nor void.
	Current bool
	// TrustOnFirstUse accepts keys that nobody compared with their owners: see
	// evidence.Question.
	TrustOnFirstUse bool
}

// Chain takes the objects of a chain, one at a time: it keeps what each says, and not its
// bytes.
type Chain struct {
	policy *evidence.Policy
	q      Question
	r      *Report
	told   []*evidence.Told
}

// New begins a chain.
func New(p *evidence.Policy, q Question) (*Chain, error) {
	if err := keys.CheckNow(q.Now); err != nil {
		return nil, err
	}
	if q.From == 0 {
		q.From = 1
	}
	return &Chain{policy: p, q: q, r: &Report{Policy: p, Time: q.Now.UTC().Truncate(time.Second), FirstUse: q.TrustOnFirstUse}}, nil
}

// Take verifies an object by itself.
func (c *Chain) Take(in evidence.Input) error {
	if len(c.r.objects) >= maxObjects {
		return strict.Errorf(in.File, "is one of more than %d objects, which no chain of epochs has", maxObjects)
	}
	r, told, err := evidence.Alone(in, c.policy, c.q.Now)
	if err != nil {
		return err
	}
	o := &Object{File: in.File, Type: r.Object, epoch: r.Epoch, Verified: told != nil, about: bundle.About{Namespace: r.Namespace}}
	c.r.objects = append(c.r.objects, o)
	switch {
	case told != nil:
		o.fill(told)
		c.told = append(c.told, told)
	case r.Object == "":
		c.r.problem(Problem{Kind: KindUnknown, Where: in.File, What: "is nothing that a chain of epochs is made of", Next: "take it out of the folder, or see what it is: fleetctl show " + in.File})
	case !o.relates():
		c.r.problem(Problem{Kind: KindUnknown, Where: in.File, What: "is " + r.Object.Noun() + "; a chain is made of packages, bundles and notices", Next: "verify it by itself"})
	default:
		where, why := r.FirstFault()
		c.r.problem(Problem{Kind: KindUnverified, Epoch: r.Epoch, Where: in.File, What: where + ": " + why,
			Next: "fleetctl verify " + in.File + " --policy POLICY --expect " + string(r.Object)})
	}
	return nil
}

// Stray says that a file belongs to nothing: one of ours is a problem, since what it
// belongs to may have been taken away; any other is only named.
func (c *Chain) Stray(file string, ours bool) {
	if !ours {
		c.r.Unknown = append(c.r.Unknown, file)
		return
	}
	c.r.problem(Problem{Kind: KindUnknown, Where: file, What: "belongs to no package, bundle or notice here: what it proves something of is missing",
		Next: "put what it belongs to beside it, or take it out of the folder"})
}

// Conclude holds all objects against each other and gives the verdict.
func (c *Chain) Conclude() *Report {
	slices.Sort(c.r.Unknown)
	slices.SortFunc(c.told, func(a, b *evidence.Told) int {
		return cmp.Or(cmp.Compare(a.About.Epoch, b.About.Epoch), cmp.Compare(a.File, b.File))
	})
	c.oneNamespace()
	c.rows()
	c.gaps()
	c.evidenced()
	c.contradictions()
	c.order()
	c.fleets()
	c.standings()
	c.conclude()
	return c.r
}
