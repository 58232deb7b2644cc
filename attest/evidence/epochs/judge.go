package epochs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// oneNamespace finds the chain's namespace, which is that of most objects, and refuses
// those of any other.
func (c *Chain) oneNamespace() {
	count := map[string]int{}
	for _, t := range c.told {
		count[t.About.Namespace]++
	}
	for _, t := range c.told {
		name := t.About.Namespace
		if n, most := count[name], count[c.r.Namespace]; n > most || n == most && name < c.r.Namespace {
			c.r.Namespace, c.r.Mode = name, t.About.Mode
		}
	}
	var chain []*evidence.Told
	for _, t := range c.told {
		if t.About.Namespace == c.r.Namespace {
			chain = append(chain, t)
			continue
		}
		c.r.problem(Problem{Kind: KindNamespace, Epoch: t.About.Epoch, Where: t.File, What: fmt.Sprintf("is of the namespace %s, and this is the chain of %s", t.About.Namespace, c.r.Namespace),
			Next: "verify each namespace's chain by itself"})
	}
	c.told = chain
}

// rows makes a row of each epoch that an object is here of, and puts the objects in it.
func (c *Chain) rows() {
	slices.SortFunc(c.r.objects, func(a, b *Object) int { return cmp.Compare(a.File, b.File) })
	for _, o := range c.r.objects {
		if !o.relates() || o.epoch == 0 || o.about.Namespace != c.r.Namespace {
			continue
		}
		i, found := slices.BinarySearchFunc(c.r.Epochs, o.epoch, func(e *Epoch, n uint64) int { return cmp.Compare(e.Epoch, n) })
		if !found {
			c.r.Epochs = slices.Insert(c.r.Epochs, i, &Epoch{Epoch: o.epoch})
		}
		e := c.r.Epochs[i]
		e.Objects = append(e.Objects, o)
		if !o.Verified || o.aborted || e.Digest != "" {
			continue
		}
		e.What, e.Fleet, e.Reason, e.Digest = o.what, o.about.Fleet, o.reason, fmt.Sprintf("%x", o.about.Digest)
	}
}

// gaps says what a missing epoch means. The epoch that a void voids may never have had a
// bundle: it is no gap, and nothing else is shown of it.
func (c *Chain) gaps() {
	var rows []*Epoch
	next := c.q.From
	for _, e := range c.r.Epochs {
		if e.Digest == "" && !e.unverified() {
			e.Missing = missing(e.Epoch, e.Epoch) + " Of that epoch only a ceremony is here that was aborted."
			c.gap(e.Epoch, e)
		}
		if e.Epoch > next {
			gap := &Epoch{Epoch: next, Last: e.Epoch - 1, Missing: missing(next, e.Epoch-1)}
			if voided := c.voidOf(e.Epoch); voided != nil && gap.Last == gap.Epoch {
				gap.Missing = fmt.Sprintf("is not here, and epoch %d voids it: its keys never came into force. Nothing shows what it was, or that it followed epoch %d.", e.Epoch, gap.Epoch-1)
				gap.State = evidence.StandingVoid
			} else {
				c.gap(next, gap)
			}
			rows = append(rows, gap)
		}
		rows = append(rows, e)
		next = max(next, e.Epoch+1)
	}
	c.r.Epochs = rows
	switch {
	case len(c.told) == 0:
		c.r.problem(Problem{Kind: KindGap, What: "no epoch is here that is verified"})
	case next == c.q.From:
		c.r.problem(Problem{Kind: KindGap, Epoch: next, What: fmt.Sprintf("epoch %d, at which the chain is to begin, is not here, and none after it", next)})
	}
}

func (c *Chain) gap(epoch uint64, e *Epoch) {
	c.r.problem(Problem{Kind: KindGap, Epoch: epoch, What: e.Name() + " " + e.Missing, Next: "add its package, bundle or notice, or begin after it with --from"})
}

func missing(first, last uint64) string {
	is, its, each := "is", "it was", ""
	if first != last {
		is, its, each = "are", "they were", " each of"
	}
	return fmt.Sprintf("%s not here: nothing shows what %s, who signed it, or that the keys after it follow%s those before it. A retirement, a void or another ceremony may be there.", is, its, each)
}

// voidOf is the void that is epoch's artifact; nil if it is none.
func (c *Chain) voidOf(epoch uint64) *evidence.Told {
	i := slices.IndexFunc(c.told, func(t *evidence.Told) bool { return t.About.Epoch == epoch && t.About.Voids })
	if i < 0 {
		return nil
	}
	return c.told[i]
}

// evidenced demands a package of each epoch's keys where the policy demands what a bundle
// alone can't show.
func (c *Chain) evidenced() {
	ofBundles, _ := evidence.Question{Expect: evidence.TypeBundle}.Demands(c.policy) // the error says that there is none
	var lacks []string
	for _, d := range c.policy.Demands {
		if evidence.Carries(evidence.TypeEvidence, d.Claim) && !slices.Contains(ofBundles, d) {
			lacks = append(lacks, d.Claim)
		}
	}
	for _, e := range c.r.Epochs {
		packaged := slices.ContainsFunc(e.Objects, func(o *Object) bool { return o.Type == evidence.TypeEvidence })
		if len(lacks) > 0 && e.What == WhatKeys && !packaged {
			c.r.problem(Problem{Kind: KindNoEvidence, Epoch: e.Epoch, Where: e.Objects[0].File, What: "is only a bundle, and the policy demands what that can't show: " + strings.Join(lacks, ", "),
				Next: "add the epoch's package"})
		}
	}
}

// contradictions holds each pair against each other.
func (c *Chain) contradictions() {
	for i, a := range c.told {
		for _, b := range c.told[i+1:] {
			if x := evidence.Contradict(a, b); x != nil {
				c.r.problem(Problem{Kind: x.Kind, Alarm: true, Epoch: b.About.Epoch, Where: x.File, What: x.What, Next: "keep both: one of them is not what happened"})
			}
		}
	}
}

// order demands that what follows was made, logged and seen after what it follows.
func (c *Chain) order() {
	for i, a := range c.told {
		for _, b := range c.told[i+1:] {
			if a.About.Epoch == b.About.Epoch || a.Aborted() || b.Aborted() {
				continue
			}
			if why := disorder(a, b); why != "" {
				c.r.problem(Problem{Kind: KindOrder, Epoch: b.About.Epoch, Where: b.File, What: fmt.Sprintf("is epoch %d and %s", b.About.Epoch, why)})
			}
		}
	}
}

// disorder says why b, of a later epoch than a, can't have come after it; empty if it can.
func disorder(a, b *evidence.Told) string {
	of := fmt.Sprintf("epoch %d, %s,", a.About.Epoch, a.File)
	if after(a.Created, b.Created) {
		return fmt.Sprintf("says that it was made at %s; %s says %s", strict.FormatTime(b.Created), of, strict.FormatTime(a.Created))
	}
	x, y := a.Logged, b.Logged
	if y != nil && y.Witnessed != nil && after(a.Created, *y.Witnessed) {
		return fmt.Sprintf("was seen by witnesses by %s; %s says that it was made at %s", strict.FormatTime(*y.Witnessed), of, strict.FormatTime(a.Created))
	}
	if x == nil || y == nil {
		return ""
	}
	if x.Origin == y.Origin && x.Index >= y.Index {
		return fmt.Sprintf("is entry %d of %s; %s is entry %d: it was logged after what follows it", y.Index, y.Origin, of, x.Index)
	}
	// A proof of an old entry can be made anew, and is then of a larger tree, which
	// witnesses saw later.
	again := x.Origin == y.Origin && x.Size >= y.Size
	if !again && x.Witnessed != nil && y.Witnessed != nil && after(*x.Witnessed, *y.Witnessed) {
		return fmt.Sprintf("was seen by witnesses by %s; %s, which is before it, was seen by %s", strict.FormatTime(*y.Witnessed), of, strict.FormatTime(*x.Witnessed))
	}
	return ""
}

func after(a, b time.Time) bool { return a.After(b.Add(keys.ClockTolerance)) }

// fleets demands that a fleet was retired before another one has the namespace.
func (c *Chain) fleets() {
	var before *evidence.Told
	for _, t := range c.told {
		if t.Aborted() {
			continue
		}
		if before != nil && t.About.Fleet != before.About.Fleet && !before.About.Retires {
			c.r.problem(Problem{Kind: KindFleet, Epoch: t.About.Epoch, Where: t.File,
				What: fmt.Sprintf("is of the fleet %s; epoch %d is of the fleet %s, and nothing here retires that", t.About.Fleet, before.About.Epoch, before.About.Fleet)})
		}
		before = t
	}
}

// standings says of each epoch that brings keys what became of them.
func (c *Chain) standings() {
	inForce := false
	for _, e := range c.r.Epochs {
		i := slices.IndexFunc(c.told, func(t *evidence.Told) bool { return t.About.Epoch == e.Epoch && t.Brings() })
		if i < 0 {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(c.told), func(t *evidence.Told) bool { return t.About.Epoch == e.Epoch })
		list := evidence.Stand(c.told[i], others, c.q.Now)
		e.State = StateInForce
		for _, what := range []string{evidence.StandingVoid, evidence.StandingSuperseded, evidence.StandingRetired} {
			if s := slices.IndexFunc(list, func(s evidence.Standing) bool { return s.What == what }); s >= 0 {
				e.State, e.Stands = what, &list[s]
				break
			}
		}
		if e.State == evidence.StandingRetired {
			e.Destroyed = &Destroyed{evidence.Gone(c.told[i], others), len(c.told[i].Keys)}
		}
		inForce = inForce || !slices.ContainsFunc(list, func(s evidence.Standing) bool { return s.InForce })
	}
	if c.q.Current && !inForce {
		c.r.problem(Problem{Kind: KindState, What: "no keys here are in force: each epoch's are retired, void or superseded"})
	}
}
