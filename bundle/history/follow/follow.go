// Package follow watches a live auditor's namespace: again and again it saves what is
// new, asks again for a part of what it saved before, checks the whole history with
// package history, and raises an alarm for each thing that is wrong, once.
//
// Its folder has all that a person needs to judge an alarm without trusting it:
//
//	statements.jsonl  every statement that the auditor answered with, as it was served
//	record            what earlier passes saw, chained (package history)
//	evidence/         pairs of statements that can't both be honest
//	alarms.jsonl      every alarm, one a line
//	state.json        the newest epoch, when the history last grew, which alarms stand
package follow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Kinds of alarm beside the checks of package history, whose names are the kinds of the
// others.
const (
	kindAnswer  = "answer"  // the auditor answers for an epoch with what can't be its statement
	kindSilence = "silence" // no new epoch for too long
	kindRecord  = "record"  // what was seen isn't all there any more
)

// recheck is how old the last whole check may be where nothing is new: keys' windows end.
const recheck = time.Hour

// Options say what is followed and how.
type Options struct {
	State string // folder of what was seen
	// First allows a namespace to be followed that has no state yet. A state that was
	// lost looks the same as one that never was, so the operator must say it.
	First    bool
	Pins     history.Options // what is pinned; Only is the namespace. Now, Seen and Again are set by each pass.
	Operator []string        // files and folders of what the operator published
	From     uint64          // the epoch at which to begin; 0: at the namespace's root
	All      bool            // ask again for all that was saved in each pass, not for a sample
	Silence  time.Duration   // an alarm when there was no new epoch for so long; 0: never
	Now      func() time.Time
}

// Follower follows one namespace of one auditor.
type Follower struct {
	client  *fetch.Client
	o       Options
	report  *history.Report // of the last check in this process, and when
	checked time.Time
}

// Seen is what a pass has found beside alarms.
type Seen struct {
	Newest     uint64 // epoch, 0 if there is none yet
	New        int64  // statements saved in this pass
	Asked      int64  // epochs asked for again
	Statements int64  // in the whole history, each counted once
	Standing   int    // alarms raised before whose cause is still there
}

// New makes a follower.
func New(c *fetch.Client, o Options) (*Follower, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pins.Only != c.Namespace {
		return nil, fmt.Errorf("the namespace %q is followed, and %q is pinned", c.Namespace, o.Pins.Only)
	}
	f := &Follower{client: c, o: o}
	switch _, err := durable.Lstat(f.path(stateName)); {
	case err == nil && o.First:
		return nil, strict.Errorf(f.path(stateName), "is there: the namespace was followed before").
			WithHint("--first is said once; without it what was seen is gone on from. Another namespace wants a --state of its own.")
	case err == nil:
		return f, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !o.First:
		return nil, f.unknown()
	}
	return f, durable.MkdirAll(o.State, 0o755)
}

// Namespace is the one that is followed.
func (f *Follower) Namespace() string { return f.client.Namespace }

func (f *Follower) path(name string) string { return filepath.Join(f.o.State, name) }

func (f *Follower) unknown() error {
	return strict.Errorf(f.path(stateName), "does not exist: what was seen of this namespace isn't known").
		WithHint("If it was followed before, put the file back from a copy, or name its directory with --state.\n" +
			"Only a namespace that was never followed is begun, with --first: then its past is taken as it is served.")
}

// pass is one look at the auditor.
type pass struct {
	*Follower
	s      *state // as it will be written
	seen   Seen
	alarms []Alarm

	stood    map[string]bool // alarms that stood before this pass
	standing map[string]bool // those that stand after it
	still    []string        // the same, in their order
}

// Pass looks at the auditor once. Alarms are on the disk before they are returned, and
// the state after them: a crash can repeat an alarm and lose none. An error means that the
// auditor could not be asked, and that nothing new is wrong with what it answered before.
func (f *Follower) Pass(ctx context.Context) (*Seen, []Alarm, error) {
	unlock, err := durable.Lock(f.path("lock"))
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := durable.Temp(f.o.State).Sweep(); err != nil {
		return nil, nil, err
	}
	p := &pass{Follower: f, stood: map[string]bool{}, standing: map[string]bool{}}
	if p.s, err = f.readState(); err != nil {
		return nil, nil, err
	}
	for _, key := range p.s.Standing {
		p.stood[key] = true
	}
	err = p.look(ctx)
	if ctx.Err() != nil {
		return nil, nil, ctx.Err() // what a signal cut off says nothing
	}
	p.silence()
	if err != nil {
		if len(p.alarms) == 0 {
			return nil, nil, err
		}
		for _, key := range p.s.Standing { // their causes weren't looked at
			p.stands(key)
		}
	}
	if err := p.raise(); err != nil {
		return nil, nil, err
	}
	p.s.Standing, p.seen.Standing = p.still, len(p.still)
	if err := p.s.write(f.path(stateName)); err != nil {
		return &p.seen, p.alarms, err
	}
	f.o.First = false
	return &p.seen, p.alarms, nil
}

// look saves what is new and judges the whole.
func (p *pass) look(ctx context.Context) error {
	got, err := p.client.Save(ctx, p.path(statementsName), fetch.Options{From: p.o.From, All: p.o.All})
	var refused *fetch.Refusal
	if errors.As(err, &refused) {
		p.alarm(kindAnswer, refused.Epoch, nil, "%v", refused)
		err = nil // what was saved before it is judged all the same
	}
	var disk *fs.PathError
	if errors.As(err, &disk) {
		return err // what the file's cache shows may never be on the disk: nothing is concluded from it
	}
	a := got.Again
	came := got.New > 0 || a != nil && len(a.Rewritten)+len(a.Gone) > 0
	if err != nil && !came && (p.report != nil || p.s.Newest == 0) {
		return err
	}
	p.seen.New = got.New
	if a != nil {
		p.seen.Asked = a.Asked
	}
	// An auditor that fails after it has answered is judged by its answers all the same,
	// also by those of a process that was killed before it judged them.
	if p.due(&got) {
		if err := p.check(ctx, a); err != nil {
			return err
		}
	}
	p.seen.Newest, p.seen.Statements = p.s.Newest, p.report.Statements
	return err
}

// due says whether the history has to be checked again: something came, something is
// answered otherwise, or the last check is old or found something.
func (p *pass) due(got *fetch.Saved) bool {
	a := got.Again
	return p.report == nil || got.New > 0 || p.o.Now().Sub(p.checked) >= recheck ||
		a == nil || len(a.Rewritten)+len(a.Gone) > 0 || a.Newest != p.s.Newest || len(p.o.Operator) > 0 || p.report.Faults > 0
}

func (p *pass) check(ctx context.Context, again *history.Again) error {
	archive, err := saved.Open([]string{p.path(statementsName)}, p.o.Operator)
	if err != nil {
		return err
	}
	archive.Live(p.path(statementsName))
	record, err := saved.OpenRecord(p.path(recordName))
	if err != nil {
		return err
	}
	defer record.Close()
	if record.Seen == nil && p.s.Newest > 0 {
		return strict.Errorf(p.path(recordName), "does not exist, although epoch %d was seen: rewriting before it would not be noticed", p.s.Newest).
			WithHint("put the file back from a copy")
	}
	if record.Seen != nil && uint64(record.Seen.Size) < p.s.Recorded {
		p.alarm(kindRecord, p.s.Newest, nil, "%s has %d bytes, and had %d: it was put back from an older copy; what was rewritten of the epochs that it lacks isn't noticed", recordName, record.Seen.Size, p.s.Recorded)
	}
	o := p.o.Pins
	o.Now, o.Seen, o.Again = p.o.Now(), record.Seen, again
	if p.report, err = history.Check(ctx, archive, o); err != nil {
		return err
	}
	p.checked = o.Now
	for _, ns := range p.report.Namespaces {
		if ns.Name != o.Only {
			continue
		}
		if ns.Last > p.s.Newest {
			p.s.Newest, p.s.Grown = ns.Last, p.o.Now().UTC().Truncate(time.Second)
		}
	}
	return p.keep(record)
}

// keep makes durable what the check saw: first the evidence, then alarms, and last that
// it was seen.
func (p *pass) keep(record *saved.Record) error {
	files, err := saved.KeepEvidence(p.path(evidenceName), p.report.Evidence)
	if err != nil {
		return err
	}
	p.found(files)
	if err := p.raise(); err != nil {
		return err
	}
	if err := record.Extend(p.report, p.o.Now()); err != nil {
		return err
	}
	info, err := durable.Stat(p.path(recordName))
	if err == nil {
		p.s.Recorded = uint64(info.Size())
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil // there was nothing to see yet
	}
	return err
}
