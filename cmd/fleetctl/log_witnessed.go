//go:build cgo && unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// witnessOptions are the flags of the commands that make proofs.
type witnessOptions struct {
	dir, guard, policy string
	cosigned           []string
	timeout            time.Duration
}

func (o *witnessOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.dir, "log", "", "the log's `directory`")
	f.StringVar(&o.guard, "guard", "", guardHelp)
	f.StringVar(&o.policy, "policy", "", "log policy `file` (C2SP tlog-policy): which witnesses to ask, and how many must cosign")
	f.StringSliceVar(&o.cosigned, "cosigned", nil, "checkpoint `file` that a witness has cosigned by file; may be repeated")
	f.DurationVar(&o.timeout, "witness-timeout", 10*time.Second, "how long to wait for a witness")
}

func (o *witnessOptions) tiled() tiled.Options {
	return tiled.Options{Guard: o.guard, Keys: logKeys, Timeout: logTimeout}
}

// read reads the policy; nil where none is given.
func (o *witnessOptions) read() (*auditlog.Policy, error) {
	if o.policy == "" {
		if len(o.cosigned) > 0 {
			return nil, usagef("cosignatures count by the keys that it pins", "--cosigned needs --policy")
		}
		return nil, nil
	}
	return readLogPolicy(o.policy)
}

// proveWitnessed gives the entry's proof under the newest checkpoint that
// meets the policy, having asked the witnesses where none does, or where newer
// cosignatures are wanted. Without a policy it is the one published.
func (a *app) proveWitnessed(ctx context.Context, e *logged, p *auditlog.Policy, o witnessOptions, again bool) ([]byte, error) {
	if p == nil {
		return e.r.Prove(ctx, e.index)
	}
	list, err := e.checkpoints(o.cosigned, p)
	if err != nil {
		return nil, err
	}
	if best := bestCheckpoint(p, list, e.index); best != nil && !again {
		return e.prove(ctx, best, p, o)
	}
	client := &witness.Client{Timeout: o.timeout}
	newest, answers := client.Collect(ctx, p, list[0], e.r.Consistency, witness.Ask{Again: again, Seen: list[1:]})
	if again && !slices.ContainsFunc(answers, func(x witness.Answer) bool { return x.Err == nil }) {
		return nil, a.notWitnessed(e, "no newer cosignature", p, list[0], answers)
	}
	list[0] = newest
	cosigning, err := p.VerifyCheckpoint(newest)
	if err != nil {
		return nil, err
	}
	if err := e.r.Keep(ctx, o.tiled(), newest, cosigning.Quorum); err != nil {
		return nil, err
	}
	for _, x := range answers {
		if errors.Is(x.Err, witness.ErrAhead) || errors.Is(x.Err, witness.ErrFork) {
			a.ui.Error(witnessFault(x))
		}
	}
	best := bestCheckpoint(p, list, e.index)
	if best == nil {
		return nil, a.notWitnessed(e, "logged, not yet witnessed", p, newest, answers)
	}
	return e.prove(ctx, best, p, o)
}

// checkpoints are those that there are of the log: the one published first,
// then the one witnessed last, and those that came by file.
func (e *logged) checkpoints(files []string, p *auditlog.Policy) ([]*auditlog.Checkpoint, error) {
	published, err := e.r.Checkpoint()
	if err != nil {
		return nil, err
	}
	list := []*auditlog.Checkpoint{published}
	add := func(c *auditlog.Checkpoint) {
		for i, known := range list {
			if known.Text() == c.Text() {
				list[i] = known.With(c.Signatures...)
				return
			}
		}
		list = append(list, c)
	}
	last, err := e.r.Witnessed()
	if err != nil {
		return nil, err
	}
	if last != nil {
		add(last)
	}
	for _, file := range files {
		data, err := readFile(file)
		if err != nil {
			return nil, err
		}
		c, err := auditlog.ParseCheckpoint(file, data)
		if err == nil {
			_, err = p.VerifyCheckpoint(c)
		}
		if err != nil {
			return nil, wrong(err)
		}
		if c.Origin != published.Origin {
			return nil, wrong(strict.Errorf(file, "is a checkpoint of %s, this is %s", c.Origin, published.Origin))
		}
		add(c)
	}
	return list, nil
}

// bestCheckpoint is the largest that covers the entry and meets the policy.
func bestCheckpoint(p *auditlog.Policy, list []*auditlog.Checkpoint, index uint64) (best *auditlog.Checkpoint) {
	for _, c := range list {
		cosigning, err := p.VerifyCheckpoint(c)
		if err != nil || c.Size <= index || cosigning.Demanded && !cosigning.Quorum {
			continue
		}
		if best == nil || c.Size > best.Size {
			best = c
		}
	}
	return best
}

// prove keeps the cosignatures and gives the proof, verified under the policy.
func (e *logged) prove(ctx context.Context, c *auditlog.Checkpoint, p *auditlog.Policy, o witnessOptions) ([]byte, error) {
	cosigning, err := p.VerifyCheckpoint(c)
	if err != nil {
		return nil, err
	}
	if len(cosigning.Witnesses) > 0 {
		if err := e.r.Keep(ctx, o.tiled(), c, cosigning.Quorum); err != nil {
			return nil, err
		}
	}
	return e.r.ProveUnder(ctx, e.index, c)
}

type witnessJSON struct {
	Name  string    `strict:"name"`
	Time  time.Time `strict:"time,optional"`
	Error string    `strict:"error,optional"`
	Next  string    `strict:"next,optional"`
}

type pendingJSON struct {
	Log       string        `strict:"log"`
	Index     uint64        `strict:"index"`
	Size      uint64        `strict:"size"`
	Pending   bool          `strict:"pending"`
	Witnesses []witnessJSON `strict:"witnesses"`
}

// notWitnessed says what is missing. Nothing is lost: the entry is in the log,
// the cosignatures that came are kept.
func (a *app) notWitnessed(e *logged, what string, p *auditlog.Policy, c *auditlog.Checkpoint, answers []witness.Answer) error {
	cosigning, err := p.VerifyCheckpoint(c)
	if err != nil {
		return err
	}
	j := &pendingJSON{Log: c.Origin, Index: e.index, Size: c.Size, Pending: true}
	for _, w := range cosigning.Witnesses {
		j.Witnesses = append(j.Witnesses, witnessJSON{Name: w.Name, Time: w.Time})
	}
	var why []string
	for _, name := range cosigning.Missing {
		w := witnessJSON{Name: name}
		for _, x := range answers {
			if x.Name == name && x.Err != nil {
				w.Error, w.Next = x.Err.Error(), adviceOf(x.Err)
			}
		}
		if w.Error != "" {
			why = append(why, w.Error)
		}
		j.Witnesses = append(j.Witnesses, w)
	}
	if a.format == "json" {
		if err := a.emit(j); err != nil {
			return err
		}
	}
	total := len(j.Witnesses)
	msg := fmt.Sprintf("%s: entry %d, %d of %d witnesses cosigned the checkpoint of size %d", what, e.index, len(cosigning.Witnesses), total, c.Size)
	if len(cosigning.Missing) > 0 {
		msg += ", missing " + strings.Join(cosigning.Missing, ", ")
	}
	why = append(why, "run the same command again when they are back: it finishes what is missing")
	code := exitPending
	if err := witness.Alarming(answers); err != nil {
		code = exitFailed
		why = why[:len(why)-1]
	}
	return &exitError{code, strict.Errorf("", "%s", msg).WithHint("%s", strings.Join(why, "\n"))}
}

func witnessFault(x witness.Answer) error {
	return strict.Errorf("", "%v", x.Err).WithHint("%s", adviceOf(x.Err))
}

func adviceOf(err error) string {
	var e *witness.Error
	if errors.As(err, &e) {
		return e.Next()
	}
	return ""
}
