package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// collector reads and verifies files on all cores and keeps what judging needs.
type collector struct {
	archive Archive
	o       Options

	mu        sync.Mutex
	names     []string // of namespaces
	byName    map[string]uint16
	table     table
	base      table // what earlier runs saw
	baseOrder []uint32
	artifacts []artifact
	bundles   []published
	problems  problems
	checked   map[string]int64
	files     int64
	conflicts []conflict       // with the record, found while reading
	live      map[uint16]bool  // keys whose statements a live auditor answers with
	passed    map[string]int64 // files of other namespaces
}

// conflict is two different statements by one key for one epoch.
type conflict struct {
	a, b entry
	base uint32 // where a is in what earlier runs saw, while files are read
}

func newCollector(a Archive, o Options) *collector {
	return &collector{archive: a, o: o, byName: map[string]uint16{}, live: map[uint16]bool{}, checked: map[string]int64{}, passed: map[string]int64{}}
}

// batch is as many files as are handed to another core at once.
type batch struct {
	items []Item
	buf   []byte
}

const (
	batchItems = 256
	batchBytes = 1 << 18
)

func (c *collector) collect(ctx context.Context, workers int) error {
	work := make(chan *batch, workers)
	free := sync.Pool{New: func() any { return &batch{} }}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			w := &worker{c: c}
			for b := range work {
				w.take(b.items)
				free.Put(b)
			}
		})
	}
	b := free.Get().(*batch)
	b.items, b.buf = b.items[:0], b.buf[:0]
	send := func() {
		work <- b
		b = free.Get().(*batch)
		b.items, b.buf = b.items[:0], b.buf[:0]
	}
	err := c.archive.Each(ctx, func(it Item) error {
		if len(b.buf)+len(it.Data)+len(it.Proof) > batchBytes && len(b.items) > 0 {
			send()
		}
		// A slice of the buffer stays valid when the buffer grows: it keeps the old
		// one alive.
		b.buf = append(b.buf, it.Data...)
		it.Data = b.buf[len(b.buf)-len(it.Data):]
		if it.Proof != nil {
			it.Proof = bytes.Clone(it.Proof)
		}
		b.items = append(b.items, it)
		if len(b.items) == batchItems {
			send()
			if c.o.Tell != nil {
				c.mu.Lock()
				n := c.files
				c.mu.Unlock()
				c.o.Tell(n)
			}
		}
		return ctx.Err()
	})
	if len(b.items) > 0 {
		work <- b
	}
	close(work)
	wg.Wait()
	return err
}

// worker is one core's part of the work. What it finds goes to the collector batch
// by batch, in the order of the files.
type worker struct {
	c         *collector
	file      string
	ref       uint64
	live      bool
	entries   []found
	artifacts []artifact
	bundles   []published
	problems  []Problem
	checked   map[string]int64
	passed    map[string]int64
}

// found is an entry whose namespace has no number yet.
type found struct {
	entry
	namespace string
	live      bool
}

func (w *worker) take(items []Item) {
	w.entries, w.artifacts, w.bundles, w.problems, w.checked, w.passed = w.entries[:0], nil, nil, nil, map[string]int64{}, map[string]int64{}
	for _, it := range items {
		w.ref, w.file, w.live = it.Ref, "", it.Live
		w.item(it)
	}
	w.c.merge(w, len(items))
}

func (w *worker) fail(check, ns string, epoch uint64, format string, args ...any) {
	w.problems = append(w.problems, Problem{
		Check: check, Namespace: ns, Epoch: epoch, What: fmt.Sprintf(format, args...), Where: []string{w.c.archive.Name(w.ref)}, ref: w.ref,
	})
}

// other says whether a namespace is another than the one that is looked at.
func (w *worker) other(ns string) bool {
	if w.c.o.Only == "" || ns == w.c.o.Only {
		return false
	}
	w.passed[ns]++
	return true
}

func (w *worker) item(it Item) {
	w.checked[Readable]++
	switch format := formatOf(it.Data); {
	case format == bundle.BundleFormat:
		w.bundle(it)
	case format == bundle.KeySetFormat || format == bundle.RetirementFormat || format == bundle.VoidFormat:
		a, err := readArtifact("artifact", it.Data)
		if err != nil {
			w.fail(Readable, "", 0, "the artifact can't be read: %v", err)
			return
		}
		w.artifact(a)
	case format == "" && looksSigned(it.Data):
		s, err := bundle.ParseServed("statement", it.Data)
		if err != nil {
			w.fail(Readable, "", 0, "the statement can't be read: %v", err)
			return
		}
		if !w.other(s.Namespace) {
			w.statement(s, it.Operator)
		}
	case w.c.o.Meta:
		// The operator's own formats aren't public; only the digest is known.
		w.artifacts = append(w.artifacts, artifact{ref: it.Ref, digest: bundle.Digest(it.Data), opaque: true})
	default:
		w.fail(Readable, "", 0, "is neither statement nor artifact nor bundle (format %q)", format)
	}
}

// statement verifies a statement and finds the pinned key that signed it.
func (w *worker) statement(s *bundle.Statement, operator bool) {
	w.checked[Signature]++
	for _, hinted := range []bool{true, false} {
		for i, k := range w.c.o.Keys {
			// Keys that the hint names are tried first; it decides nothing else.
			if hint := s.KeyID == nil || *s.KeyID == k.Key[31]; hint == hinted && s.Verify(k.Key) == nil {
				w.entry(s, uint16(i), operator)
				return
			}
		}
	}
	w.fail(Signature, s.Namespace, s.Epoch, "no pinned key has signed this statement")
}

func (w *worker) entry(s *bundle.Statement, key uint16, operator bool) {
	e := entryOf(s, w.ref, 0, key)
	e.operator = operator
	e.late = !w.c.o.Keys[key].Window.Counts(w.c.o.Now, nil)
	w.entries = append(w.entries, found{e, s.Namespace, w.live})
}

func (w *worker) artifact(a *anArtifact) {
	if !w.other(a.namespace) {
		w.artifacts = append(w.artifacts, artifact{
			epoch: a.epoch, ref: w.ref, digest: a.digest, previous: a.previous, void: a.void, retired: a.retired, fleet: a.fleet, ns: w.c.number(a.namespace),
		})
	}
}

func (w *worker) bundle(it Item) {
	b, err := bundle.ParseAny("bundle", it.Data)
	if err != nil {
		w.fail(Readable, "", 0, "the bundle can't be read: %v", err)
		return
	}
	a := aboutBundle(b)
	if w.other(a.namespace) {
		return
	}
	p := published{epoch: a.epoch, ref: w.ref, digest: a.digest, ns: w.c.number(a.namespace)}
	var trust *bundle.Trust
	if w.c.o.Trust != nil {
		trust = w.c.o.Trust(a.namespace)
	}
	var witnessed *time.Time
	if it.Proof != nil && w.c.o.Log != nil {
		w.checked[LogInclusion]++
		if in, err := verifyProof(w.c.o.Log, it, w.c.o.Now); err != nil {
			w.fail(LogInclusion, a.namespace, a.epoch, "its proof does not show it in the log: %v", err)
		} else if p.logged = true; in.Quorum {
			p.witnessed, witnessed = in.QuorumTime.Unix(), in.Witnessed()
		}
	}
	for _, s := range b.Statements {
		for i, k := range w.c.o.Keys {
			if k.Key != s.Key {
				continue
			}
			w.checked[Signature]++
			if err := s.Statement.Verify(s.Key); err != nil {
				w.fail(Signature, a.namespace, a.epoch, "the statement of %s in the bundle: %v", k.Name, err)
				continue
			}
			w.entry(s.Statement, uint16(i), true)
			e := &w.entries[len(w.entries)-1]
			if witnessed != nil && k.Window.Counts(w.c.o.Now, witnessed) {
				e.late = false
			}
			if trust.RequiresAll(k.Name) {
				_, lacks, err := trust.Adds(s, k.Name, w.c.o.Now, witnessed)
				e.added = lacks == "" && err == nil
			}
			p.signers++
		}
	}
	if trust != nil {
		w.checked[Countersign]++
		_, err := b.Verify(trust, w.c.o.Now, witnessed)
		if p.counter = err == nil; err != nil {
			w.fail(Countersign, a.namespace, a.epoch, "%v", err)
		}
	}
	w.artifacts = append(w.artifacts, artifact{
		epoch: a.epoch, ref: w.ref, digest: a.digest, previous: a.previous, inBundle: true, void: a.void, retired: a.retired, fleet: a.fleet, ns: p.ns,
	})
	w.bundles = append(w.bundles, p)
}

// verifyProof counts what the windows of the log's and the witnesses' keys let count now:
// whoever has a witness's stolen key chooses the time.
func verifyProof(log *auditlog.Policy, it Item, now time.Time) (*auditlog.Inclusion, error) {
	p, err := auditlog.ParseProof("proof", it.Proof)
	if err != nil {
		return nil, err
	}
	in, err := log.VerifyAt(it.Data, now, []*auditlog.Proof{p})
	if err == nil && in.LogOutside != "" {
		err = errors.New(in.LogOutside)
	}
	return in, err
}

// number gives a namespace its number.
func (c *collector) number(ns string) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.numberLocked(ns)
}

func (c *collector) numberLocked(ns string) uint16 {
	n, ok := c.byName[ns]
	if !ok {
		n = uint16(len(c.names))
		c.names = append(c.names, ns)
		c.byName[ns] = n
	}
	return n
}

func (c *collector) merge(w *worker, files int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files += int64(files)
	for ns, n := range w.passed {
		if _, known := c.passed[ns]; !known && len(c.passed) >= maxNames {
			ns = "" // whoever makes up names gets no memory for each
		}
		c.passed[ns] += n
	}
	for name, n := range w.checked {
		c.checked[name] += n
	}
	for _, p := range w.problems {
		c.problems.add(p)
	}
	for i := range w.entries {
		f := &w.entries[i]
		if len(c.names) >= maxNames {
			c.problems.add(Problem{Check: Readable, Namespace: f.namespace, Epoch: f.epoch, What: "there are more namespaces than can be looked at in one run", ref: f.ref})
			continue
		}
		f.ns = c.numberLocked(f.namespace)
		if f.live {
			c.live[f.key] = true
		}
		if !c.known(&f.entry) {
			c.table.add(f.entry)
		}
	}
	c.artifacts = append(c.artifacts, w.artifacts...)
	c.bundles = append(c.bundles, w.bundles...)
}

// known compares an entry with what earlier runs saw. If it is the same, it needn't
// be kept a second time.
func (c *collector) known(e *entry) bool {
	if c.base.len() == 0 {
		return false
	}
	places := c.base.find(c.baseOrder, e)
	if len(places) > 0 {
		c.checked[Unchanged]++
		if e.operator {
			c.checked[OperatorCopy]++
		}
	}
	for _, i := range places {
		if b := c.base.at(i); b.same(e) {
			b.seen = true
			b.operator = b.operator || e.operator
			b.late = b.late && e.late
			b.added = b.added || e.added
			return true
		}
	}
	if len(places) == 0 {
		return false
	}
	c.conflicts = append(c.conflicts, conflict{*c.base.at(places[0]), *e, places[0]})
	return true // the recorded statement stands
}

// looksSigned says whether data looks like a statement, which its reader then
// checks.
func looksSigned(data []byte) bool {
	return bytes.Contains(data, []byte(`"signature"`)) && bytes.Contains(data, []byte(`"namespace"`))
}

// formatOf is the value of the first field, if its name is format.
func formatOf(data []byte) string {
	head := bytes.TrimLeft(data[:min(len(data), 256)], " \t\r\n{")
	rest, ok := bytes.CutPrefix(head, []byte(`"format"`))
	if !ok {
		return ""
	}
	_, rest, _ = bytes.Cut(rest, []byte(`"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	if strict.CheckToken(string(bytes.ReplaceAll(value, []byte(" "), nil))) != nil {
		return ""
	}
	return string(value)
}
