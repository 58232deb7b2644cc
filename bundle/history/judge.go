package history

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

var errChanged = errors.New("the archive changed while it was read")

func (c *collector) fail(check string, ns uint16, epoch uint64, refs []uint64, format string, args ...any) {
	p := Problem{Check: check, Namespace: c.names[ns], Epoch: epoch, What: fmt.Sprintf(format, args...)}
	for _, r := range refs {
		p.Where = append(p.Where, c.where(r))
	}
	if len(refs) > 0 {
		p.ref = refs[0]
	}
	c.problems.add(p)
}

func (c *collector) where(ref uint64) string {
	if ref&recorded != 0 {
		return "the record of earlier runs"
	}
	return c.archive.Name(ref)
}

// judge judges everything that was collected.
func (c *collector) judge() (*Report, error) {
	r := &Report{Files: c.files, names: c.names, keys: c.o.Keys}
	for i, p := range c.conflicts { // another file may have had the rest of it
		c.conflicts[i].a.added = c.base.at(p.base).added
	}
	for i := range c.base.len() {
		c.table.add(*c.base.at(uint32(i)))
	}
	c.base, c.baseOrder = table{}, nil
	order := c.table.order()
	pairs := c.conflicts
	seen := 0
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && place(c.table.at(order[from]), c.table.at(order[to])) == 0 {
			to++
		}
		pairs = append(pairs, c.onePlace(order[from:to])...)
		order[seen] = order[from] // the first statement of a key for an epoch stands for all
		seen++
		from = to
	}
	order = order[:seen]
	r.Statements = int64(seen)
	for _, p := range c.conflicts {
		if p.b.operator {
			c.fail(OperatorCopy, p.b.ns, p.b.epoch, []uint64{p.a.ref, p.b.ref}, "the operator's copy of the statement of %s differs in %s%s",
				c.o.Keys[p.b.key].Name, c.differs(&p.a, &p.b), c.equivocates(&p.a, &p.b))
			continue
		}
		c.fail(Unchanged, p.b.ns, p.b.epoch, []uint64{p.b.ref}, "the statement of %s is rewritten: an earlier run saw digest %x at %s, now it is %x at %s",
			c.o.Keys[p.b.key].Name, p.a.digest, when(p.a.time), p.b.digest, when(p.b.time))
	}
	c.asked(c.o.Again)
	slices.SortFunc(c.artifacts, func(a, b artifact) int { return compareArtifacts(&a, &b) })
	slices.SortFunc(c.bundles, func(a, b published) int { return compareBundles(&a, &b) })
	c.uniqueness(order)
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && c.table.at(order[to]).ns == c.table.at(order[from]).ns {
			to++
		}
		ns, err := c.namespace(order[from:to])
		if err != nil {
			return nil, err
		}
		r.Namespaces = append(r.Namespaces, *ns)
		from = to
	}
	c.unsigned(order)
	slices.SortFunc(r.Namespaces, func(a, b Namespace) int { return compareText(a.Name, b.Name) })
	if err := c.pairs(r, pairs); err != nil {
		return nil, err
	}
	c.problems.cut()
	r.Problems, r.Faults = c.problems.list, c.problems.n
	for _, name := range checkNames {
		line := CheckLine{Name: name, Checked: c.checked[name], Bad: c.problems.bad[name]}
		if line.Checked == 0 && line.Bad == 0 {
			line.Detail = c.whyNot(name)
		} else if name == LogInclusion && line.Checked < int64(len(c.bundles)) {
			line.Detail = fmt.Sprintf("%d of %d bundles have a proof beside them", line.Checked, len(c.bundles))
		}
		r.Checks = append(r.Checks, line)
	}
	for ns, n := range c.passed {
		r.PassedOver = append(r.PassedOver, Passed{ns, n})
	}
	slices.SortFunc(r.PassedOver, func(a, b Passed) int { return compareText(a.Namespace, b.Namespace) })
	c.freshEntries(r, order)
	return r, nil
}

// asked reports what a live auditor now says of its past.
func (c *collector) asked(a *Again) {
	if a == nil {
		return
	}
	c.checked[Unchanged] += a.Asked
	fail := func(epoch uint64, format string, args ...any) {
		c.problems.add(Problem{Check: Unchanged, Namespace: a.Namespace, Epoch: epoch, What: fmt.Sprintf(format, args...)})
	}
	for _, e := range a.Rewritten {
		fail(e, "it is rewritten: the auditor answers with another statement than the one that was saved before, and both are kept")
	}
	for _, e := range a.Gone {
		fail(e, "it is gone: a statement was saved before, and the auditor has none any more")
	}
	if before := max(a.Saved, c.recordedOf(a.Namespace)); a.Newest < before {
		fail(before, "the history got shorter: the auditor's newest epoch is now %d", a.Newest)
	}
}

// recordedOf is the newest epoch that earlier runs saw signed by the auditor: by the
// keys that signed its answers or, if it gave no answer, by any pinned key.
func (c *collector) recordedOf(namespace string) (newest uint64) {
	for i := range c.table.len() {
		e := c.table.at(uint32(i))
		if e.ref&recorded != 0 && c.names[e.ns] == namespace && (c.live[e.key] || len(c.live) == 0) {
			newest = max(newest, e.epoch)
		}
	}
	return newest
}

// whyNot says why there was nothing for a check to look at.
func (c *collector) whyNot(name string) string {
	switch {
	case c.o.Meta && (name == Previous || name == Countersign || name == LogInclusion || name == OperatorCopy):
		return "the operator's formats are not public"
	case name == Countersign && c.o.Trust == nil:
		return "no operator's key is pinned"
	case name == LogInclusion && c.o.Log == nil:
		return "no log is pinned"
	case name == Unchanged && c.o.Seen != nil:
		return "none of the given files is one that an earlier run saw"
	case name == Unchanged:
		return "there is no record of an earlier run"
	case name == ArtifactSeen:
		return "no artifact was given"
	case name == Previous:
		return "no artifact was given together with the epoch before it"
	case name == OperatorCopy:
		return "no statement was given both as the third party's and as the operator's"
	case name == Countersign || name == LogInclusion:
		return "nothing of the operator's was given"
	}
	return "there was nothing to check"
}

// onePlace compares the statements of one key for one epoch.
func (c *collector) onePlace(list []uint32) (pairs []conflict) {
	first := c.table.at(list[0])
	for _, i := range list[1:] {
		if e := c.table.at(i); first.same(e) {
			first.added = first.added || e.added
		}
	}
	for _, i := range list[1:] {
		e := c.table.at(i)
		if first.operator != e.operator || first.ref&recorded != 0 && e.operator {
			c.checked[OperatorCopy]++
		}
		if first.same(e) {
			first.late = first.late && e.late // a proof beside one copy holds for both
			continue
		}
		pairs = append(pairs, conflict{a: *first, b: *e})
		if !e.operator {
			c.fail(OneDigest, e.ns, e.epoch, []uint64{first.ref, e.ref}, "%s signed two statements: digest %x at %s and digest %x at %s%s",
				c.o.Keys[e.key].Name, first.digest, when(first.time), e.digest, when(e.time), c.equivocates(first, e))
			continue
		}
		c.fail(OperatorCopy, e.ns, e.epoch, []uint64{first.ref, e.ref}, "the operator's copy of the statement of %s differs in %s%s",
			c.o.Keys[e.key].Name, c.differs(first, e), c.equivocates(first, e))
	}
	return pairs
}

// equivocates says whether two statements of one key are a party's two words. Where
// both a classical and a post-quantum signature of the party are required, a statement
// that has the classical one alone is nobody's word: it takes less than the party to
// sign it.
func (c *collector) equivocates(a, b *entry) string {
	name := c.o.Keys[a.key].Name
	switch {
	case a.digest == b.digest:
		return ""
	case a.added && b.added || c.o.Trust == nil || !c.o.Trust(c.names[a.ns]).RequiresAll(name):
		return ": equivocation"
	}
	which := "either"
	if a.added {
		which = "the second"
	} else if b.added {
		which = "the first"
	}
	why := fmt.Sprintf(": not shown to be equivocation, because both signatures of %s are required and no post-quantum one that counts is beside %s: whoever has its Ed25519 key alone can have signed that", name, which)
	if a.ref&recorded != 0 && !a.added { // a record has statements alone
		why += "; what an earlier run saw beside the first is not in its record: look for its bundle in a copy"
	}
	return why
}

// differs reads both statements again and names the fields that differ.
func (c *collector) differs(a, b *entry) string {
	x, err := c.loadStatement(a)
	if err != nil {
		return "a field that can't be read again: " + err.Error()
	}
	y, err := c.loadStatement(b)
	if err != nil {
		return "a field that can't be read again: " + err.Error()
	}
	var fields []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"ciphersuite", x.Ciphersuite == y.Ciphersuite}, {"timestamp", x.Timestamp == y.Timestamp},
		{"digest", x.Digest == y.Digest}, {"signature", x.Signature == y.Signature},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fmt.Sprint(fields)
}

// uniqueness checks that within a namespace each digest belongs to one epoch. It
// sorts the digests' first eight bytes: a digest whose first bytes occur once
// occurs once.
func (c *collector) uniqueness(order []uint32) {
	c.checked[Unique] += int64(len(order))
	prefix := make([]uint64, len(order))
	head := func(i uint32) uint64 {
		var v uint64
		for _, b := range c.table.at(i).digest[:8] {
			v = v<<8 | uint64(b)
		}
		return v
	}
	for n, i := range order {
		prefix[n] = head(i)
	}
	slices.Sort(prefix)
	twice := map[uint64]bool{}
	for n := 1; n < len(prefix); n++ {
		if prefix[n] == prefix[n-1] {
			twice[prefix[n]] = true
		}
	}
	if len(twice) == 0 {
		return
	}
	type digestOf struct {
		ns     uint16
		digest [32]byte
	}
	first := map[digestOf]*entry{}
	for _, i := range order {
		e := c.table.at(i)
		if !twice[head(i)] {
			continue
		}
		at := digestOf{e.ns, e.digest}
		if o := first[at]; o == nil {
			first[at] = e
		} else if o.epoch != e.epoch {
			c.fail(Unique, e.ns, e.epoch, []uint64{o.ref, e.ref}, "its digest %x is that of epoch %d too; no two epochs have the same digest", e.digest, o.epoch)
		}
	}
}

func when(ms uint64) string { return strict.FormatTime(time.UnixMilli(int64(ms)).UTC()) }

// pairs loads the statements that contradict each other.
func (c *collector) pairs(r *Report, list []conflict) error {
	slices.SortFunc(list, func(x, y conflict) int { return compare(&x.b, &y.b) })
	for _, p := range list[:min(len(list), maxPairs)] {
		var both [2]*bundle.Statement
		for i, e := range []*entry{&p.a, &p.b} {
			s, err := c.loadStatement(e)
			if err != nil {
				return fmt.Errorf("reading evidence again, %s: %w", c.where(e.ref), err)
			}
			both[i] = s
		}
		r.Evidence = append(r.Evidence, Pair{
			Namespace: c.names[p.a.ns], Epoch: p.a.epoch, Key: c.o.Keys[p.a.key].Name, A: both[0].Raw(), B: both[1].Raw(),
		})
	}
	return nil
}
