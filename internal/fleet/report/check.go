package report

import (
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Required are the tests that a stage has to list if it passed. It may list others.
func Required(stage string) []string {
	switch stage {
	case ceremony.StageSessions:
		return []string{"tampered-bundle", "unlisted-node", "older-epoch", "unwitnessed-proof"}
	case ceremony.StageLogins:
		return []string{"right-code", "wrong-code", "count-seen-is-committed", "each-node-led"}
	case ceremony.StageFaults:
		return []string{"leader-killed", "site-cut-off", "majority-lost", "slow-disk", "clocks-apart"}
	case ceremony.StageLock:
		return []string{"last-guess", "right-code-after-lock", "nothing-left-on-disk"}
	case ceremony.StageRollback:
		return []string{"one-disk", "two-disks", "all-disks", "hsm-blocked"}
	case ceremony.StageSuccession:
		return []string{"new-epoch-taken", "older-epoch-refused", "retired-refused", "unpinned-refused", "guesses-count-over-both"}
	case ceremony.StagePasskey:
		return []string{"passkey-unwraps", "lost-passkey-then-code"}
	}
	return nil
}

// checker collects what is wrong with a report.
type checker struct {
	*Report
	file   string
	faults strict.Errors
}

func (c *checker) failf(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults.Add(strict.Errorf(c.file, format, args...))
	}
}

func (r *Report) check(file string) error {
	c := &checker{Report: r, file: file}
	c.bounds()
	if c.faults.Err() == nil {
		c.head()
		c.nodes()
		c.stages()
		c.tests()
		c.counts()
		c.anchors()
		c.figures()
		c.next()
		c.outcome()
	}
	return c.faults.Err()
}

func (c *checker) bounds() {
	for _, l := range []struct {
		what           string
		n, least, most int
	}{
		{"faults", len(c.Faults), 0, maxFaults}, {"versions", len(c.Versions), 1, maxVersions}, {"tests", len(c.Tests), 0, maxTests},
		{"nodes", len(c.Nodes), 1, maxNodes}, {"histories", len(c.Histories), 0, maxHistories}, {"figures", len(c.Figures), 0, maxFigures},
		{"stages", len(c.Stages), len(ceremony.DrillStages()), len(ceremony.DrillStages())},
	} {
		if l.n < l.least || l.n > l.most {
			c.failf("has %d %s; there are %d to %d", l.n, l.what, l.least, l.most)
		}
	}
	texts := slices.Clone(c.Faults)
	for _, v := range c.Versions {
		texts = append(texts, v.Name, v.Version)
	}
	for _, s := range c.Stages {
		if s.Reason != "" {
			texts = append(texts, s.Reason)
		}
	}
	for _, a := range c.Anchors {
		if texts = append(texts, a.Where); a.Reason != "" {
			texts = append(texts, a.Reason)
		}
	}
	for _, p := range c.proofs() {
		texts = append(texts, p.Protocol, p.Group, p.Verdict)
	}
	for _, s := range texts {
		if err := strict.CheckText(s, maxText); err != nil {
			c.failf("has the text %q, which %v", strict.Clip(s), err)
		}
	}
}

func (c *checker) head() {
	switch length := c.Ended.Sub(c.Started); {
	case c.Notice != Notice:
		c.failf("does not say that it is %s", Notice)
	case c.Mode != ceremony.Production && c.Mode != ceremony.Rehearsal:
		c.failf("mode is %q; it is production or rehearsal", strict.Clip(c.Mode))
	case length < 0 || length > maxLength:
		c.failf("it began at %s and ended at %s; a drill takes from nothing to %s", strict.FormatTime(c.Started), strict.FormatTime(c.Ended), strict.FormatDuration(maxLength))
	case c.Epoch == 0:
		c.failf("epoch is 0; a namespace's first is 1")
	}
}

func (c *checker) nodes() {
	seen := map[string]bool{}
	for _, n := range c.Nodes {
		if seen[n.HSM] {
			c.failf("has two nodes of %s", n.HSM)
		}
		seen[n.HSM] = true
		if n.Acknowledged+n.Ambiguous > n.Attempts {
			c.failf("node %s answered %d guesses and left %d without an answer, of %d", n.HSM, n.Acknowledged, n.Ambiguous, n.Attempts)
		}
		switch p := n.Proof; {
		case p == nil:
		case p.Bundle != c.Bundle || p.Proof != c.Proof:
			c.failf("node %s answered with another bundle or proof than the drill is about", n.HSM)
		case p.Peer != n.Session.SPKI:
			c.failf("node %s proved another key than its own", n.HSM)
		default:
			c.spoken(n.HSM, p)
		}
	}
	if c.Majority != len(c.Nodes)/2+1 {
		c.failf("%d nodes committed with %d; more than half of them do", len(c.Nodes), c.Majority)
	}
}

func (c *checker) stages() {
	for i, name := range ceremony.DrillStages() {
		switch s := c.Stages[i]; {
		case s.Name != name:
			c.failf("stage %d is %s; it is %s", i+1, s.Name, name)
		case s.Outcome != Passed && s.Outcome != Failed && s.Outcome != NotRun:
			c.failf("stage %s: outcome %q is none of %s, %s, %s", name, strict.Clip(s.Outcome), Passed, Failed, NotRun)
		case s.Outcome == Passed && s.Reason != "":
			c.failf("stage %s passed, and gives a reason", name)
		case s.Outcome != Passed && s.Reason == "":
			c.failf("stage %s: outcome %s without a reason", name, s.Outcome)
		case s.Outcome == Passed:
			for _, test := range Required(name) {
				if !slices.ContainsFunc(c.Tests, func(t Test) bool { return t.Stage == name && t.Name == test }) {
					c.failf("stage %s passed without the test %s", name, test)
				}
			}
		}
	}
	if c.Stages[0].Outcome == Passed && slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.Proof == nil }) {
		c.failf("stage %s passed, and a node answered no device", ceremony.StageSessions)
	}
	if s := c.Stage(ceremony.StageRollback); s != nil && s.Outcome == Passed && slices.ContainsFunc(c.Anchors, func(a Anchor) bool { return a.Where == NoAnchor }) {
		c.failf("stage %s passed, and an HSM has no anchor", ceremony.StageRollback)
	}
}

func (c *checker) tests() {
	for i, t := range c.Tests {
		s := c.Stage(t.Stage)
		switch {
		case s == nil:
			c.failf("test %s is of stage %s, which there is not", t.Name, t.Stage)
		case s.Outcome == NotRun:
			c.failf("test %s is of stage %s, which was not run", t.Name, t.Stage)
		case t.Runs < 1 || t.Failed > t.Runs:
			c.failf("test %s of stage %s: %d of %d runs failed", t.Name, t.Stage, t.Failed, t.Runs)
		case t.Failed > 0 && s.Outcome == Passed:
			c.failf("stage %s passed, and its test %s failed", t.Stage, t.Name)
		case t.Node != "" && !slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.HSM == t.Node }):
			c.failf("test %s of stage %s is of the node %s, which there is not", t.Name, t.Stage, t.Node)
		case slices.ContainsFunc(c.Tests[:i], func(o Test) bool { return o.Stage == t.Stage && o.Name == t.Name && o.Node == t.Node }):
			c.failf("test %s of stage %s is there twice", t.Name, t.Stage)
		}
	}
}

func (c *checker) counts() {
	n := c.Counts
	attempts, acknowledged, ambiguous, led := 0, 0, 0, 0
	for _, node := range c.Nodes {
		attempts, acknowledged, ambiguous, led = attempts+node.Attempts, acknowledged+node.Acknowledged, ambiguous+node.Ambiguous, led+node.Led
	}
	switch {
	case n.Acknowledged+n.Ambiguous > n.Attempts:
		c.failf("counts: %d guesses answered and %d without an answer, of %d", n.Acknowledged, n.Ambiguous, n.Attempts)
	case n.Attempts > attempts || n.Acknowledged > acknowledged || n.Ambiguous > ambiguous:
		c.failf("counts: %d guesses, %d of them answered and %d without an answer, and the nodes had %d, %d and %d", n.Attempts, n.Acknowledged, n.Ambiguous, attempts, acknowledged, ambiguous)
	case n.Leaders != led:
		c.failf("counts: %d times a node became the leader, and the nodes %d times", n.Leaders, led)
	case n.Logins > n.Acknowledged:
		c.failf("counts: %d logins by %d guesses that were answered", n.Logins, n.Acknowledged)
	}
	for i, h := range c.Histories {
		switch {
		case h.Result != Linearizable && h.Result != NotLinearizable && h.Result != Undecided:
			c.failf("history %s: result %q is none of %s, %s, %s", h.Name, strict.Clip(h.Result), Linearizable, NotLinearizable, Undecided)
		case h.Operations < 1:
			c.failf("history %s has no operation", h.Name)
		case slices.ContainsFunc(c.Histories[:i], func(o History) bool { return o.Name == h.Name }):
			c.failf("history %s is there twice", h.Name)
		}
	}
}

func (c *checker) anchors() {
	if len(c.Anchors) != len(c.Nodes) {
		c.failf("tells of the anchors of %d HSMs, and there are %d nodes", len(c.Anchors), len(c.Nodes))
		return
	}
	for i, a := range c.Anchors {
		none := a.Where == NoAnchor
		switch {
		case a.HSM != c.Nodes[i].HSM:
			c.failf("the anchor of %s stands at the place of %s", a.HSM, c.Nodes[i].HSM)
		case none && (!a.Created.IsZero() || !a.Removed.IsZero()):
			c.failf("%s has no anchor, and one was made or removed", a.HSM)
		case !none && (a.Created.Before(c.Started) || a.Created.After(c.Ended)):
			c.failf("the anchor of %s was not made during the drill", a.HSM)
		case !none && !a.Removed.IsZero() && (a.Removed.Before(a.Created) || a.Removed.After(c.Ended)):
			c.failf("the anchor of %s was not removed between its making and the end of the drill", a.HSM)
		case (none || a.left()) != (a.Reason != ""):
			c.failf("the anchor of %s: a reason is given if and only if there is none or it was left", a.HSM)
		}
	}
}

// outcome demands that a report says failed exactly if something in it did.
func (c *checker) outcome() {
	why := c.Failures()
	switch {
	case c.Outcome != Passed && c.Outcome != Failed:
		c.failf("outcome is %q; it is %s or %s", strict.Clip(c.Outcome), Passed, Failed)
	case c.Outcome == Passed && len(why) > 0:
		c.failf("says that the drill passed, and it did not: %s", strings.Join(why, "; "))
	case c.Outcome == Failed && len(why) == 0:
		c.failf("says that the drill failed, and nothing in it did")
	}
}
