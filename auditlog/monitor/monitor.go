package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	KindCheckpoint  = "checkpoint"  // is none that the policy's log signed
	KindSilence     = "silence"     // nothing new for too long
	KindUnwitnessed = "unwitnessed" // the policy's quorum has not cosigned
	KindRotated     = "rotated"     // the log has begun another tree than the one that is followed
)

// Options say how a log is followed.
type Options struct {
	State       string        // directory of what was seen, and of the evidence
	Silence     time.Duration // an alarm when the log hasn't grown for so long; 0: never
	Unwitnessed bool          // an alarm when the checkpoint has no quorum
	Workers     int
	Now         func() time.Time
	Progress    func(done, total uint64)
}

// Alarm is what a monitor is there for.
type Alarm struct {
	Finding
	Time     time.Time
	Log      string
	Evidence string // file that proves it, where one does
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

// New makes a monitor. judge makes a Judge that has seen nothing. A state that
// isn't there means that the log is seen for the first time: all of it is read,
// and that its start is the right one is taken on trust.
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
	return &Monitor{name, log, from, judge, o}, os.MkdirAll(o.State, 0o755)
}

// pass is one look at the log.
type pass struct {
	*Monitor
	ctx    context.Context
	s      *state // as it will be written
	alarms []Alarm
	still  []string // stand after this pass
	read   bool     // the log was read up to its checkpoint
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
	p := &pass{Monitor: m, ctx: ctx}
	path := filepath.Join(m.o.State, "state.json")
	if p.s, err = readState(path, p.name); err != nil {
		return nil, nil, err
	}
	if p.s == nil {
		p.s = &state{Log: p.name, Grown: m.o.Now().UTC().Truncate(time.Second)}
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
		// What wasn't looked at again still stands.
		for _, key := range p.s.Standing {
			if !slices.Contains(p.still, key) {
				p.still = append(p.still, key)
			}
		}
	}
	if err := p.raise(); err != nil {
		return nil, nil, err
	}
	seen.Standing = len(p.still)
	p.s.Standing = p.still
	return seen, p.alarms, p.s.write(path)
}

// look compares checkpoint and entries with what was seen. An error beside no
// alarm is the network's or the disk's.
func (p *pass) look() (*Seen, error) {
	seen := &Seen{Log: p.name, Size: p.s.Size}
	last, err := p.s.checkpoint("state.json")
	if err != nil {
		return seen, err
	}
	c, err := p.log.newest(p.ctx, last)
	var refused *strict.Error
	if errors.As(err, &refused) {
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
		return seen, p.contradiction(last, c.Checkpoint)
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
	var findings []Finding
	w := &walk{judge: judge, workers: p.o.Workers, progress: p.o.Progress, take: func(list []Finding) { findings = append(findings, list...) }}
	from := uint64(0)
	if last == nil {
		if from, err = beginning(p.from, c.Size); err != nil {
			return start, err
		}
	}
	g, err := p.log.grow(p.ctx, p.s, from, c.Size, w)
	if err == nil && g.root != c.Root {
		err = broken("checkpoint", "is of another tree than the entries give")
	}
	var damage *Broken
	switch {
	case errors.As(err, &damage) && last != nil:
		return start, p.contradiction(last, c)
	case errors.As(err, &damage):
		p.alarm(KindDamaged, 0, "", "%v", err)
		return start, nil
	case err != nil:
		return start, err
	}
	if start = g.start; g.size > start {
		p.s.Grown = p.o.Now().UTC().Truncate(time.Second)
	}
	p.read = true
	g.keep(p.s)
	p.s.Checkpoint, p.s.Judge = string(c.Marshal()), judge.State()
	for _, f := range findings {
		p.alarm(f.Kind, f.Index, "", "%s", f.Text)
	}
	for _, f := range judge.Overdue() {
		p.alarm(f.Kind, f.Index, "", "%s", f.Text)
	}
	return start, nil
}

// contradiction keeps both checkpoints, proves the split if it can be proven
// from what is served, and says what was found.
func (p *pass) contradiction(last, c *auditlog.Checkpoint) error {
	s, err := p.split(last, c)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("split-%d-%x-%d-%x.json", s.Smaller.Size, s.Smaller.Root[:4], s.Larger.Size, s.Larger.Root[:4])
	path := filepath.Join(p.o.State, name)
	why := p.log.verifySplit(s)
	if why == nil {
		// In place of what an earlier pass kept, which may lack the proof: that
		// has to be served, and the checkpoints are the same.
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
		p.alarm(KindDamaged, 0, path, "what is served does not lead from the tree of %d entries seen before to the checkpoint of size %d", last.Size, c.Size)
	}
	return nil
}

// maxAlarm bounds an alarm's text, in bytes: a server has a say in some, and
// they are kept.
const maxAlarm = 2000

// alarm notes what is wrong. One that stands since an earlier pass is not
// raised again.
func (p *pass) alarm(kind string, index uint64, evidence, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxAlarm {
		text = strings.ToValidUTF8(text[:maxAlarm], "") + "…"
	}
	a := Alarm{Finding{kind, index, text}, p.o.Now().UTC().Truncate(time.Second), p.name, evidence}
	key := fmt.Sprintf("%s %d %s", kind, index, a.Text)
	if slices.Contains(p.still, key) {
		return
	}
	p.still = append(p.still, key)
	if !slices.Contains(p.s.Standing, key) {
		p.alarms = append(p.alarms, a)
	}
}

// silence alarms once for each silence.
func (p *pass) silence() {
	if p.o.Silence > 0 && p.o.Now().Sub(p.s.Grown) > p.o.Silence {
		p.alarm(KindSilence, 0, "", "the log has not grown since %s", strict.FormatTime(p.s.Grown))
	}
}
