package monitor

import (
	"context"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// AuditOptions say how to audit.
type AuditOptions struct {
	Workers  int                      // 0: one for each core
	State    string                   // file to go on from after an interruption; empty for none
	Progress func(done, total uint64) // called first with what an interrupted audit had done
	Every    time.Duration            // how long between two writings of the state; 0: such that writing takes a twentieth of the time
}

// leastEvery is the least time between two writings of an audit's state.
const leastEvery = 100 * time.Millisecond

// Report is what an audit has found. Findings holds the first of them.
type Report struct {
	Origin   string
	Size     uint64
	Root     [32]byte
	Resumed  uint64 // entries that an interrupted audit had read
	Entries  uint64 // read now
	Tiles    uint64
	Bytes    uint64 // of entries
	Took     time.Duration
	Found    uint64
	Findings []Finding
	auditlog.Cosigning
}

// Verified is the audit's verdict: the log has entries, nothing is wrong with them,
// and as many witnesses cosigned as the policy demands. confirmed says that people
// confirmed the policy's keys, or that they are accepted unconfirmed.
func (r *Report) Verified(confirmed bool) bool {
	return confirmed && r.Size > 0 && r.Found == 0 && r.Enough()
}

// Audit reads all of a log under its newest checkpoint. A *[Broken] error means
// that the log serves something else than it signed. Findings are about what the
// entries say.
func Audit(ctx context.Context, src *Source, p *auditlog.Policy, judge Judge, o AuditOptions) (*Report, error) {
	began := time.Now()
	c, cosigning, err := src.checkpoint(ctx, p)
	if err != nil {
		return nil, err
	}
	r := &Report{Origin: c.Origin, Size: c.Size, Root: c.Root, Cosigning: *cosigning}
	w := &walk{src: src, judge: judge, edge: &edge{}, workers: o.Workers, progress: o.Progress, take: r.take}
	if o.State != "" {
		if err := r.resume(w, o); err != nil {
			return nil, err
		}
	}
	if o.Progress != nil {
		o.Progress(r.Resumed, r.Size)
	}
	if err := w.to(ctx, c.Size); err != nil {
		return nil, err
	}
	if w.edge.root() != c.Root {
		err := broken("checkpoint", "is of another tree: its root is not the one that the log's %d entries give", c.Size)
		if r.Resumed > 0 {
			err = broken("checkpoint", "does not continue the %d entries that were read before", r.Resumed)
		}
		return nil, err
	}
	r.take(judge.Overdue())
	r.Entries, r.Tiles, r.Bytes, r.Took = w.entries, w.tiles, w.bytes, time.Since(began)
	return r, nil
}

func (r *Report) take(list []Finding) {
	r.Found += uint64(len(list))
	for _, f := range list {
		if len(r.Findings) < maxFindings {
			r.Findings = append(r.Findings, f)
		}
	}
}

// resume goes on where an interrupted audit stopped, and has this audit save its
// state, so that it can be resumed too.
func (r *Report) resume(w *walk, o AuditOptions) error {
	s, err := readState(o.State, r.Origin)
	if err != nil {
		return err
	}
	if s != nil {
		if s.Size > r.Size {
			return strict.Errorf(o.State, "has read %d entries, the log has %d now: it went back", s.Size, r.Size).
				WithHint("An older copy of the log is served, or it was rolled back; fleetctl log monitor keeps the evidence.")
		}
		if err := w.judge.Restore(s.Judge); err != nil {
			return spoilt(o.State, err.Error())
		}
		w.edge, r.Resumed, r.Found = s.edge(), s.Size, s.Found
		for _, f := range s.Findings {
			r.Findings = append(r.Findings, Finding(f))
		}
	}
	every := o.Every
	if every == 0 {
		every = leastEvery
	}
	last := time.Now()
	w.save = func() error {
		if time.Since(last) < every && w.edge.size < r.Size {
			return nil
		}
		began := time.Now()
		defer func() {
			last = time.Now()
			if o.Every == 0 { // a judge's state can be large
				every = max(leastEvery, 20*last.Sub(began))
			}
		}()
		s := &state{Log: r.Origin, Judge: w.judge.State(), Found: r.Found}
		s.setEdge(w.edge)
		for _, f := range r.Findings {
			s.Findings = append(s.Findings, findingJSON(f))
		}
		return s.write(o.State)
	}
	return nil
}
