package witness

import (
	"context"
	"errors"
	"sync"

	"github.com/fleetctl/fleetctl/auditlog"
)

// Ask says which of a policy's witnesses to ask.
type Ask struct {
	// Again asks also the witnesses whose cosignature the checkpoint has, for
	// one with a newer time.
	Again bool
	// Seen are older checkpoints of this log. They hint at what each witness
	// has cosigned last, which saves a request.
	Seen []*auditlog.Checkpoint
}

// Answer is the outcome of asking one witness. Err is nil, an *[Error], or the
// reason why the log couldn't make the consistency proof.
type Answer struct {
	Name string
	Err  error
}

// Collect asks all of the policy's witnesses at once and gives the checkpoint with
// all cosignatures that it had or that came, each verified. A witness that fails is
// no error here: the caller finds out whether the quorum is met, by
// [auditlog.Policy.VerifyCheckpoint].
func (cl *Client) Collect(ctx context.Context, p *auditlog.Policy, c *auditlog.Checkpoint, prove Prover, a Ask) (*auditlog.Checkpoint, []Answer) {
	var wg sync.WaitGroup
	type result struct {
		asked bool
		sig   auditlog.Signature
		err   error
	}
	witnesses := p.Witnesses()
	results := make([]result, len(witnesses))
	for i, w := range witnesses {
		last, signed := uint64(0), false
		if _, signed = c.SignedBy(w.Key); signed {
			last = c.Size
		}
		if signed && !a.Again {
			continue
		}
		for _, old := range a.Seen {
			if _, ok := old.SignedBy(w.Key); ok && old.Size <= c.Size {
				last = max(last, old.Size)
			}
		}
		wg.Go(func() {
			sig, err := cl.ask(ctx, w, c, last, prove)
			results[i] = result{true, sig, err}
		})
	}
	wg.Wait()
	var list []Answer
	for i, r := range results {
		if !r.asked {
			continue
		}
		list = append(list, Answer{witnesses[i].Name, r.err})
		if r.err == nil {
			c = c.With(r.sig)
		}
	}
	return c, list
}

// Alarming says whether the witness answered that this log has two histories, or
// went back.
func (a Answer) Alarming() bool { return errors.Is(a.Err, ErrAhead) || errors.Is(a.Err, ErrFork) }

// Alarming is the error of the first alarming answer, nil if there is none.
func Alarming(list []Answer) error {
	for _, a := range list {
		if a.Alarming() {
			return a.Err
		}
	}
	return nil
}
