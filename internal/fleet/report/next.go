package report

import (
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Next is the epoch that went live in stage succession. Its own ceremony's package says
// more of it; what this report can be held against is the epoch that it follows.
type Next struct {
	Epoch      uint64     `strict:"epoch"`
	Ceremony   string     `strict:"ceremony,token"`
	Artifact   [32]byte   `strict:"artifact,hex"`   // SHA-256 of its fleet-keys.json
	Previous   [32]byte   `strict:"previous,hex"`   // the artifact that it names as the one before
	Bundle     [32]byte   `strict:"bundle,hex"`     // SHA-256 of its bundle.json
	Proof      [32]byte   `strict:"proof,hex"`      // and of the proof
	Retirement [32]byte   `strict:"retirement,hex"` // SHA-256 of the bundle of the notice that then retired the fleet
	Nodes      []NextNode `strict:"nodes"`          // of the same HSMs' names, in the same order
}

// NextNode is a node of that epoch.
type NextNode struct {
	HSM     string   `strict:"hsm,token"`
	Session [32]byte `strict:"session,hex"`    // SHA-256 of its session key's SubjectPublicKeyInfo
	Proof   *Session `strict:"proof,optional"` // what it answered a device that knew the epoch before
}

// proofs are the sessions that nodes of either epoch have shown.
func (r *Report) proofs() (list []*Session) {
	for _, n := range r.Nodes {
		list = append(list, n.Proof)
	}
	if r.Next != nil {
		for _, n := range r.Next.Nodes {
			list = append(list, n.Proof)
		}
	}
	return slices.DeleteFunc(list, func(p *Session) bool { return p == nil })
}

// next demands the second epoch exactly where one went live.
func (c *checker) next() {
	s, n := c.Stage(ceremony.StageSuccession), c.Next
	if s == nil {
		return // which stages says
	}
	if (n == nil) != (s.Outcome == NotRun) {
		c.failf("stage %s: outcome %s, and the report tells of a next epoch: %t; it does exactly where the stage was run", s.Name, s.Outcome, n != nil)
	}
	if s.Outcome == NotRun && c.followed() {
		c.failf("stage %s was not run, and there is a history of it", s.Name)
	}
	if n == nil {
		return
	}
	switch {
	case n.Epoch <= c.Epoch:
		c.failf("the next epoch is %d, after %d", n.Epoch, c.Epoch)
	case n.Ceremony == c.Ceremony || n.Artifact == n.Previous || n.Bundle == c.Bundle || n.Proof == c.Proof || n.Retirement == c.Bundle || n.Retirement == n.Bundle:
		c.failf("the next epoch has the ceremony, artifact, bundle or proof of another")
	case len(n.Nodes) != len(c.Nodes):
		c.failf("the next epoch has %d nodes, and this one %d", len(n.Nodes), len(c.Nodes))
	default:
		c.nextNodes(s.Outcome == Passed)
	}
}

func (c *checker) nextNodes(passed bool) {
	seen := map[[32]byte]bool{}
	for _, n := range c.Nodes {
		seen[n.Session.SPKI], seen[n.Agreement.SPKI] = true, true
	}
	for i, n := range c.Next.Nodes {
		switch p := n.Proof; {
		case n.HSM != c.Nodes[i].HSM:
			c.failf("the next epoch's node %s stands at the place of %s", n.HSM, c.Nodes[i].HSM)
		case seen[n.Session]:
			c.failf("the next epoch's node %s has a key that another node has", n.HSM)
		case p == nil && passed:
			c.failf("stage %s passed, and the next epoch's node %s answered no device", ceremony.StageSuccession, n.HSM)
		case p == nil:
		case p.Bundle != c.Next.Bundle || p.Proof != c.Next.Proof || p.Peer != n.Session:
			c.failf("the next epoch's node %s answered with another bundle or proof, or proved another key", n.HSM)
		default:
			c.spoken(n.HSM, p)
		}
		seen[n.Session] = true
	}
	if passed && !c.followed() {
		c.failf("stage %s passed, and there is no history of it", ceremony.StageSuccession)
	}
}

// followed says that there is a history of the epoch that went live.
func (c *checker) followed() bool {
	return slices.ContainsFunc(c.Histories, func(h History) bool { return h.Name == ceremony.StageSuccession })
}

// spoken holds the words of a session.
func (c *checker) spoken(hsm string, p *Session) {
	if p.Protocol != Protocol || p.Verdict != Accepted {
		c.failf("node %s answered by %q, and the device says %q; it must be %s and %s", hsm, strict.Clip(p.Protocol), strict.Clip(p.Verdict), Protocol, Accepted)
	}
}
