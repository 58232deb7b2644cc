package monitor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Kinds of alarm that are about the log itself; the Judge has its own.
const (
	KindSplit       = "split-view"  // two signed checkpoints contradict each other
	KindBack        = "went-back"   // the checkpoint shown has fewer entries than one seen
	KindDamaged     = "damaged"     // what is served isn't the tree that was signed
	KindCheckpoint  = "checkpoint"  // the policy's log did not sign it
	KindSilence     = "silence"     // nothing new for too long
	KindUnwitnessed = "unwitnessed" // the policy's quorum has not cosigned
	KindRotated     = "rotated"     // the log goes on in another tree than the one that is followed
)

// Options say how a log is followed.
type Options struct {
	State string // directory of what was seen, and of the evidence
	// First allows a log to be followed that has no state yet. The operator must say
	// so, because a state that was lost looks the same as one that never was, and a
	// monitor that starts over takes the log as it is on trust and can't notice
	// that it was rewritten.
	First       bool
	Silence     time.Duration // an alarm when the log hasn't grown for so long; 0: never
	Unwitnessed bool          // an alarm when the checkpoint has no quorum
	Workers     int
	Now         func() time.Time
	Progress    func(done, total uint64)
}

// Monitor follows one log.
type Monitor struct {
	name  string // the log's, as pinned
	log   followed
	from  uint64
	judge func() Judge
	o     Options
}

// Seen is what a pass has found beside alarms.
type Seen struct {
	Log      string
	Size     uint64
	Entries  uint64 // new ones, read and judged
	Standing int    // alarms raised before whose cause is still there
	auditlog.Cosigning
}

// New makes a monitor. judge makes a Judge that has seen nothing. The first
// pass, which Options.First allows, reads all of the log and takes on trust
// that its start is the right one.
func New(src *Source, p *auditlog.Policy, judge func() Judge, o Options) (*Monitor, error) {
	logs := p.Logs()
	if len(logs) != 1 {
		return nil, strict.Errorf("", "the policy lists %d logs; a monitor follows one", len(logs))
	}
	return newMonitor(logs[0].Key.Name(), &tiles{src, p.VerifyCheckpoint, p.VerifySplit}, 0, judge, o)
}

func newMonitor(name string, log followed, from uint64, judge func() Judge, o Options) (*Monitor, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Monitor{name, log, from, judge, o}
	switch _, err := durable.Lstat(m.statePath()); {
	case err == nil && o.First:
		return nil, strict.Errorf(m.statePath(), "is there: the log was followed before").
			WithHint("--first is said once; without it the monitor goes on from what it has seen. Another log wants a --state of its own.")
	case err == nil:
		return m, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !o.First:
		return nil, m.unknown()
	}
	return m, durable.MkdirAll(o.State, 0o755)
}

func (m *Monitor) statePath() string { return filepath.Join(m.o.State, "state.json") }

func (m *Monitor) unknown() error {
	return strict.Errorf(m.statePath(), "does not exist: what was seen of this log isn't known").
		WithHint("If the log was followed before, put the file back from a copy, or name its directory with --state.\n" +
			"Only a log that was never followed is begun, with --first: then its start is taken on trust.")
}

// pass is one look at the log.
type pass struct {
	*Monitor
	ctx    context.Context
	s      *state // as it will be written
	alarms []Alarm
	read   bool // the log was read up to its checkpoint

	stood    map[string]bool // what stood before this pass
	still    []string        // what stands after it
	standing map[string]bool // the same
}

// Pass looks at the log once: the checkpoint, every new entry, what is overdue.
// Alarms are on the disk before they are returned, and the state after them: a
// crash can repeat an alarm and lose none. An error means that the log could
// not be looked at; nothing is known to be wrong then.
func (m *Monitor) Pass(ctx context.Context) (*Seen, []Alarm, error) {
	unlock, err := durable.Lock(filepath.Join(m.o.State, "lock"))
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := durable.Temp(m.o.State).Sweep(); err != nil {
		return nil, nil, err
	}
	p := &pass{Monitor: m, ctx: ctx, stood: map[string]bool{}, standing: map[string]bool{}}
	path := m.statePath()
	if p.s, err = readState(path, p.name); err != nil {
		return nil, nil, err
	}
	if p.s == nil && !m.o.First {
		return nil, nil, m.unknown() // it vanished since the monitor was made
	}
	if p.s == nil {
		p.s = &state{Log: p.name, Grown: m.o.Now().UTC().Truncate(time.Second)}
	}
	for _, key := range p.s.Standing {
		p.stood[key] = true
	}
	seen, err := p.look()
	if err != nil {
		p.silence() // one that can't be read for too long is silent, whatever checkpoint it shows
	}
	if err != nil && len(p.alarms) == 0 {
		return nil, nil, err
	}
	p.silence()
	if !p.read {
		// Causes that weren't looked at in this pass still stand.
		for _, key := range p.s.Standing {
			p.stands(key)
		}
	}
	if err := p.raise(); err != nil {
		return nil, nil, err
	}
	seen.Standing = len(p.still)
	p.s.Standing = p.still
	if err := p.s.write(path); err != nil {
		return seen, p.alarms, err
	}
	m.o.First = false
	return seen, p.alarms, nil
}

// look compares checkpoint and entries with what was seen before. An error for
// which it raised no alarm comes from the network or the disk.
func (p *pass) look() (*Seen, error) {
	seen := &Seen{Log: p.name, Size: p.s.Size}
	last, err := p.s.checkpoint("state.json")
	if err != nil {
		return seen, err
	}
	c, err := p.log.newest(p.ctx, last)
	var refused *strict.Error
	var damage *Broken
	if errors.As(err, &refused) || errors.As(err, &damage) {
		p.alarm(KindCheckpoint, 0, "", "%v", err)
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	seen.Cosigning = *c.Cosigning
	if p.o.Unwitnessed && !c.Quorum {
		p.alarm(KindUnwitnessed, 0, "", "%d of %d witnesses cosigned the checkpoint of size %d, which is no quorum", len(c.Witnesses), len(c.Witnesses)+len(c.Missing), c.Size)
	}
	for _, f := range c.found {
		p.alarm(f.Kind, f.Index, "", "%s", f.Text)
	}
	if last != nil && (c.Size < last.Size || c.Size == last.Size && c.Root != last.Root) {
		return seen, p.contradiction(last, c.Checkpoint, nil)
	}
	start, err := p.grow(last, c.Checkpoint)
	if err != nil {
		return seen, err
	}
	seen.Size, seen.Entries = p.s.Size, p.s.Size-start
	return seen, nil
}

// grow reads what is new. The state moves on only if the tree has the root that
// was signed.
func (p *pass) grow(last, c *auditlog.Checkpoint) (start uint64, err error) {
	start = p.s.Size
	judge := p.judge()
	if err := judge.Restore(p.s.Judge); err != nil && p.s.Judge != "" {
		return start, spoilt("state.json", err.Error())
	}
	var found tally
	w := &walk{judge: judge, workers: p.o.Workers, progress: p.o.Progress, take: found.add}
	from := uint64(0)
	if last == nil {
		if from, err = beginning(p.from, c.Size); err != nil {
			return start, err
		}
	}
	h, err := p.hold(last == nil, from)
	if err != nil {
		return start, err
	}
	defer h.close()
	w.hold = h.put
	g, err := p.log.grow(p.ctx, p.s, from, c.Size, w)
	if err == nil && g.root != c.Root {
		err = broken("checkpoint", "is of another tree: its root is not the one that the log's entries give")
	}
	var damage *Broken
	switch {
	case errors.As(err, &damage) && last != nil:
		return start, p.contradiction(last, c, err)
	case errors.As(err, &damage):
		p.alarm(KindDamaged, 0, "", "%v", err)
		return start, nil
	case err != nil:
		return start, err
	}
	// The state tells of no hash that isn't on the disk.
	if err := h.sync(p.o.State); err != nil {
		return start, err
	}
	if start = g.start; g.size > start {
		p.s.Grown = p.o.Now().UTC().Truncate(time.Second)
	}
	p.read = true
	g.keep(p.s)
	p.s.Checkpoint, p.s.Judge = string(c.Marshal()), judge.State()
	var overdue tally
	overdue.add(judge.Overdue())
	p.tell(&found)
	p.tell(&overdue)
	return start, nil
}

// contradiction keeps both checkpoints, proves the split if what is served or was
// seen allows it, and raises the alarm. damage is the error met on the way from one
// tree to the other, nil if that wasn't tried.
func (p *pass) contradiction(last, c *auditlog.Checkpoint, damage error) error {
	s, err := p.split(last, c)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("split-%d-%x-%d-%x.json", s.Smaller.Size, s.Smaller.Root[:4], s.Larger.Size, s.Larger.Root[:4])
	path := filepath.Join(p.o.State, name)
	why := p.log.verifySplit(s)
	if why == nil {
		// This replaces what an earlier pass kept of the same checkpoints, which may
		// lack the proof: the log didn't always serve what that takes.
		err = durable.Replace(path, s.Marshal(), 0o644)
	} else if err = durable.Create(path, s.Marshal(), 0o644); errors.Is(err, os.ErrExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	switch {
	case why == nil:
		p.alarm(KindSplit, 0, path, "the log signed two histories: of size %d and of size %d, and neither continues the other", s.Smaller.Size, s.Larger.Size)
	case c.Size < last.Size:
		p.alarm(KindBack, 0, path, "the checkpoint shown has %d entries, one of %d was seen before", c.Size, last.Size)
	default:
		p.alarm(KindDamaged, 0, path, "what is served does not lead from the tree of %d entries seen before to the checkpoint of size %d: %v", last.Size, c.Size, damage)
	}
	return nil
}
