package history

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
)

func compareText(a, b string) int { return strings.Compare(a, b) }

func compareArtifacts(a, b *artifact) int {
	return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.epoch, b.epoch), bytes.Compare(a.digest[:], b.digest[:]), cmp.Compare(a.ref, b.ref))
}

func compareBundles(a, b *published) int {
	return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.ref, b.ref))
}

// artifactsOf gives the artifacts of an epoch.
func (c *collector) artifactsOf(ns uint16, epoch uint64) []artifact {
	return within(c.artifacts, func(a *artifact) int { return cmp.Or(cmp.Compare(a.ns, ns), cmp.Compare(a.epoch, epoch)) })
}

func (c *collector) bundlesOf(ns uint16, epoch uint64) []published {
	return within(c.bundles, func(b *published) int { return cmp.Or(cmp.Compare(b.ns, ns), cmp.Compare(b.epoch, epoch)) })
}

func within[T any](list []T, at func(*T) int) []T {
	from := sort.Search(len(list), func(i int) bool { return at(&list[i]) >= 0 })
	to := from
	for to < len(list) && at(&list[to]) == 0 {
		to++
	}
	return list[from:to]
}

// namespace judges the run of epochs of one namespace; order has one entry for
// each epoch and key.
func (c *collector) namespace(order []uint32) (*Namespace, error) {
	first := c.table.at(order[0])
	ns := &Namespace{Name: c.names[first.ns], First: first.epoch, FirstTime: first.time}
	last := map[uint16]*entry{} // the last statement of each key
	var before *entry           // the statement of the epoch before
	parties := &runs{byKey: map[uint16]*PartyRun{}}
	var opaque map[[32]byte]uint64
	if c.o.Meta {
		opaque = c.opaque()
	}
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && c.table.at(order[to]).epoch == c.table.at(order[from]).epoch {
			to++
		}
		e := c.table.at(order[from])
		ns.Epochs++
		for _, i := range order[from:to] {
			c.inOrder(c.table.at(i), last)
			c.run(parties, c.table.at(i).key).signed(e.epoch)
		}
		if before != nil && e.epoch != before.epoch+1 {
			c.fail(Contiguous, e.ns, e.epoch, []uint64{before.ref, e.ref}, "the epoch before it is %d: %d are missing", before.epoch, e.epoch-before.epoch-1)
		}
		c.checked[Contiguous]++
		c.sameDigest(order[from:to])
		c.published(ns, e, before, opaque)
		before = e
		from = to
	}
	ns.Last, ns.LastTime = before.epoch, before.time
	for _, p := range parties.list {
		p.absent(ns.Last)
		ns.Parties = append(ns.Parties, *p)
	}
	if err := c.rows(ns, order); err != nil {
		return nil, err
	}
	return ns, nil
}

// inOrder compares a statement with the one that the same key signed before.
func (c *collector) inOrder(e *entry, last map[uint16]*entry) {
	if e.late {
		c.fail(Windows, e.ns, e.epoch, []uint64{e.ref}, "is signed by %s outside the key's window, and no witness quorum shows that it was made inside", c.o.Keys[e.key].Name)
	}
	c.checked[Windows]++
	if b := last[e.key]; b != nil {
		c.checked[TimeOrder]++
		if e.time < b.time {
			c.fail(TimeOrder, e.ns, e.epoch, []uint64{b.ref, e.ref}, "%s signed it at %s, before epoch %d at %s: time went back",
				c.o.Keys[e.key].Name, when(e.time), b.epoch, when(b.time))
		}
	}
	last[e.key] = e
}

// sameDigest checks that all third parties signed the same artifact of an epoch.
func (c *collector) sameDigest(order []uint32) {
	first := c.table.at(order[0])
	c.checked[OneDigest]++
	for _, i := range order[1:] {
		if e := c.table.at(i); e.digest != first.digest {
			c.fail(OneDigest, e.ns, e.epoch, []uint64{first.ref, e.ref}, "%s signed digest %x, %s signed %x",
				c.o.Keys[first.key].Name, first.digest, c.o.Keys[e.key].Name, e.digest)
		}
	}
}

// published compares what the operator published of an epoch with what was
// signed.
func (c *collector) published(ns *Namespace, e, before *entry, opaque map[[32]byte]uint64) {
	if _, ok := opaque[e.digest]; ok {
		c.checked[ArtifactSeen]++
		ns.Artifacts++
	}
	counted := false
	for _, a := range c.artifactsOf(e.ns, e.epoch) {
		if a.opaque {
			continue
		}
		c.checked[ArtifactSeen]++
		if a.digest != e.digest {
			c.fail(ArtifactSeen, e.ns, e.epoch, []uint64{a.ref, e.ref}, "the artifact has digest %x, but %x was signed", a.digest, e.digest)
			continue
		}
		if !counted {
			ns.Artifacts++
			counted = true
		}
		if before != nil && before.epoch == e.epoch-1 {
			c.checked[Previous]++
			if a.previous != before.digest {
				c.fail(Previous, e.ns, e.epoch, []uint64{a.ref, before.ref}, "the artifact follows digest %x, but epoch %d has %x", a.previous, before.epoch, before.digest)
			}
		}
		if a.void && !slices.Contains(ns.Void, e.epoch-1) {
			ns.Void = append(ns.Void, e.epoch-1)
		}
		if a.retired && !slices.Contains(ns.Retired, a.fleet) {
			ns.Retired = append(ns.Retired, a.fleet)
		} else if !a.retired && slices.Contains(ns.Retired, a.fleet) {
			c.fail(Previous, e.ns, e.epoch, []uint64{a.ref}, "the fleet %s was retired before", a.fleet)
		}
	}
	for _, b := range c.bundlesOf(e.ns, e.epoch) {
		ns.Bundles++
		if b.logged {
			ns.Proofs++
		}
	}
}

func (c *collector) opaque() map[[32]byte]uint64 {
	m := map[[32]byte]uint64{}
	for i := range c.artifacts {
		if c.artifacts[i].opaque {
			m[c.artifacts[i].digest] = c.artifacts[i].ref
		}
	}
	return m
}

// unsigned finds artifacts that nobody signed.
func (c *collector) unsigned(order []uint32) {
	digests := map[[32]byte]bool{}
	if c.o.Meta {
		for _, i := range order {
			digests[c.table.at(i).digest] = true
		}
	}
	for i := range c.artifacts {
		a := &c.artifacts[i]
		if a.opaque {
			if !digests[a.digest] {
				c.checked[ArtifactSeen]++
				c.problems.add(Problem{Check: ArtifactSeen, What: fmt.Sprintf("no statement signs the file's digest %x", a.digest), Where: []string{c.archive.Name(a.ref)}, ref: a.ref})
			}
			continue
		}
		at := entry{ns: a.ns, epoch: a.epoch}
		n := sort.Search(len(order), func(i int) bool { return place(c.table.at(order[i]), &at) >= 0 })
		if n < len(order) && c.table.at(order[n]).ns == a.ns && c.table.at(order[n]).epoch == a.epoch {
			continue
		}
		c.checked[ArtifactSeen]++
		c.fail(ArtifactSeen, a.ns, a.epoch, []uint64{a.ref}, "no pinned third party has signed the artifact, digest %x", a.digest)
	}
}

// rows makes the report's rows: the newest epochs, with what changed in each.
func (c *collector) rows(ns *Namespace, order []uint32) error {
	opaque := c.opaque()
	from, epochs := len(order), 0
	for ; from > 0; from-- {
		if from == len(order) || c.table.at(order[from-1]).epoch != c.table.at(order[from]).epoch {
			if epochs == c.o.Rows {
				break
			}
			epochs++
		}
	}
	var loaded *anArtifact
	for ; from < len(order); from++ {
		e := c.table.at(order[from])
		if n := len(ns.Rows); n > 0 && ns.Rows[n-1].Epoch == e.epoch {
			row, name := &ns.Rows[n-1], c.o.Keys[e.key].Name
			if row.Time = min(row.Time, e.time); !slices.Contains(row.Signers, name) {
				row.Signers = append(row.Signers, name)
			}
			continue
		}
		row := Row{Epoch: e.epoch, Time: e.time, Digest: e.digest, Signers: []string{c.o.Keys[e.key].Name}}
		if _, ok := opaque[e.digest]; ok {
			row.Kind = "opaque"
		}
		before := loaded
		if before == nil && e.epoch > 1 {
			var err error
			if before, err = c.artifactAt(e.ns, e.epoch-1, nil); err != nil {
				return err
			}
		}
		var err error
		if loaded, err = c.artifactAt(e.ns, e.epoch, &e.digest); err != nil {
			return err
		}
		c.describe(&row, loaded, before)
		for _, b := range c.bundlesOf(e.ns, e.epoch) {
			row.Bundle, row.Counter, row.Logged = true, row.Counter || b.counter, row.Logged || b.logged
		}
		ns.Rows = append(ns.Rows, row)
	}
	return nil
}

func (c *collector) describe(row *Row, a, before *anArtifact) {
	if a == nil {
		return
	}
	row.Kind, row.Fleet = a.kind, a.fleet
	if a.set == nil {
		return
	}
	switch {
	case a.epoch == 1:
		row.Delta, row.First = bundle.Diff(nil, a.set), true
	case before != nil && before.set != nil && before.digest == a.previous:
		row.Delta = bundle.Diff(before.set, a.set)
	}
}

// artifactAt loads the artifact of an epoch; nil if there is none.
func (c *collector) artifactAt(ns uint16, epoch uint64, digest *[32]byte) (*anArtifact, error) {
	for _, a := range c.artifactsOf(ns, epoch) {
		if !a.opaque && (digest == nil || a.digest == *digest) {
			return c.loadArtifact(&a)
		}
	}
	return nil, nil
}
