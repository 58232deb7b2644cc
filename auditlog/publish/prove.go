//go:build unix

package publish

import (
	"context"
	"slices"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Witnessing says which cosignatures a proof needs and where they come from.
type Witnessing struct {
	// Policy says which witnesses to ask, and how many must cosign. Without a
	// policy the log's published checkpoint is used as it is.
	Policy *auditlog.Policy
	// Cosigned are checkpoints that witnesses have cosigned by file, see
	// [Entry.Cosigned].
	Cosigned []*auditlog.Checkpoint
	// Client asks the witnesses that have a URL. The zero value is ready.
	Client witness.Client
	// Alarm is called with the answer of a witness that says that this log has two
	// histories or went back, even if the quorum is met without it. It may be nil.
	Alarm func(witness.Answer)
}

// Prove gives the entry's proof (C2SP tlog-proof) under the newest checkpoint
// that satisfies the policy. If there is no such checkpoint yet, it asks the
// witnesses. If too few of them cosign, the error is a [*Short].
func (e *Entry) Prove(ctx context.Context, w Witnessing) ([]byte, error) {
	return e.prove(ctx, w, false)
}

// prove is Prove; with again, it asks for newer cosignatures than there are.
func (e *Entry) prove(ctx context.Context, w Witnessing, again bool) ([]byte, error) {
	p := w.Policy
	if p == nil {
		return e.reader.Prove(ctx, e.Index)
	}
	list, err := e.checkpoints(w.Cosigned)
	if err != nil {
		return nil, err
	}
	if best := choose(p, list, e.Index); best != nil && !again {
		return e.proveUnder(ctx, p, best)
	}
	newest, answers := w.Client.Collect(ctx, p, list[0], e.reader.Consistency, witness.Ask{Again: again, Seen: list[1:]})
	if again && !slices.ContainsFunc(answers, func(a witness.Answer) bool { return a.Err == nil }) {
		return nil, e.short(p, list[0], answers, true)
	}
	list[0] = newest
	cosigning, err := p.VerifyCheckpoint(newest)
	if err != nil {
		return nil, err
	}
	if err := e.reader.Keep(ctx, e.log.options.tiled(), newest, cosigning.Quorum); err != nil {
		return nil, err
	}
	for _, a := range answers {
		if a.Alarming() && w.Alarm != nil {
			w.Alarm(a)
		}
	}
	best := choose(p, list, e.Index)
	if best == nil {
		return nil, e.short(p, newest, answers, false)
	}
	return e.proveUnder(ctx, p, best)
}

// checkpoints are the known checkpoints of the log, each once with all its
// signatures: first the published one, then the last one with a quorum, then those
// that came by file.
func (e *Entry) checkpoints(cosigned []*auditlog.Checkpoint) ([]*auditlog.Checkpoint, error) {
	published, err := e.reader.Checkpoint()
	if err != nil {
		return nil, err
	}
	last, err := e.reader.Witnessed()
	if err != nil {
		return nil, err
	}
	if last != nil {
		cosigned = append([]*auditlog.Checkpoint{last}, cosigned...)
	}
	list := []*auditlog.Checkpoint{published}
	for _, c := range cosigned {
		i := slices.IndexFunc(list, func(known *auditlog.Checkpoint) bool { return known.Text() == c.Text() })
		if i < 0 {
			list = append(list, c)
			continue
		}
		list[i] = list[i].With(c.Signatures...)
	}
	return list, nil
}

// Cosigned reads a checkpoint of this log that a witness has cosigned by file.
// Cosignatures by the keys that the policy pins count.
func (e *Entry) Cosigned(p *auditlog.Policy, file string, data []byte) (*auditlog.Checkpoint, error) {
	c, err := auditlog.ParseCheckpoint(file, data)
	if err == nil {
		_, err = p.VerifyCheckpoint(c)
	}
	if err == nil && c.Origin != e.log.Origin() {
		err = strict.Errorf(file, "is a checkpoint of %s, this is %s", c.Origin, e.log.Origin())
	}
	if err != nil {
		return nil, &Refusal{err}
	}
	return c, nil
}

// choose gives the largest checkpoint that covers the entry and satisfies the
// policy, nil where none does.
func choose(p *auditlog.Policy, list []*auditlog.Checkpoint, index uint64) (best *auditlog.Checkpoint) {
	for _, c := range list {
		cosigning, err := p.VerifyCheckpoint(c)
		if err != nil || c.Size <= index || !cosigning.Enough() {
			continue
		}
		if best == nil || c.Size > best.Size {
			best = c
		}
	}
	return best
}

// proveUnder keeps the checkpoint's cosignatures and gives the proof, verified.
func (e *Entry) proveUnder(ctx context.Context, p *auditlog.Policy, c *auditlog.Checkpoint) ([]byte, error) {
	cosigning, err := p.VerifyCheckpoint(c)
	if err != nil {
		return nil, err
	}
	if len(cosigning.Witnesses) > 0 {
		if err := e.reader.Keep(ctx, e.log.options.tiled(), c, cosigning.Quorum); err != nil {
			return nil, err
		}
	}
	return e.reader.ProveUnder(ctx, e.Index, c)
}

// Check verifies that a proof shows this entry in a log of the policy. The result's
// [auditlog.Cosigning.Enough] says whether enough witnesses have cosigned.
func (e *Entry) Check(p *auditlog.Policy, file string, proof []byte) (*auditlog.Inclusion, error) {
	in, err := e.check(p, file, proof)
	if err != nil {
		return nil, &Refusal{err}
	}
	return in, nil
}

func (e *Entry) check(p *auditlog.Policy, file string, proof []byte) (*auditlog.Inclusion, error) {
	parsed, err := auditlog.ParseProof(file, proof)
	if err != nil {
		return nil, err
	}
	return p.Verify(e.leaf, parsed)
}
