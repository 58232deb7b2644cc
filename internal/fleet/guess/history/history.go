// Package history records what clients asked a fleet of and what they were answered,
// and judges it: the answers must be those that one guess counter would have given that
// answered one after the other. porcupine looks for such an order.
package history

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

// Recorder records what clients do; they may be many at a time.
type Recorder struct {
	mu      sync.Mutex
	now     int64
	ops     []porcupine.Operation
	unknown int
}

// Call is a command on its way.
type Call struct {
	r       *Recorder
	client  int
	command *guess.Command
	began   int64
}

// Begin records that a client sends a command of an account.
func (r *Recorder) Begin(client int, c guess.Command) *Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now++
	return &Call{r, client, &c, r.now}
}

// Answered records the answer.
func (c *Call) Answered(a guess.Answer) {
	c.end(output{true, a.Status, a.Used, a.Remaining, len(a.Record)+len(a.OPRFKey)+len(a.Envelope) > 0})
}

// Lost records that the client doesn't know what became of its command: it may have
// been taken, or be taken later, or never.
func (c *Call) Lost() { c.end(output{}) }

// A command that was refused for certain is not recorded any further.

func (c *Call) end(out output) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.now++
	op := porcupine.Operation{ClientId: c.client, Input: c.command, Call: c.began, Output: out, Return: c.r.now}
	if !out.known {
		op.Return = math.MaxInt64
		c.r.unknown++
	}
	c.r.ops = append(c.r.ops, op)
}

// Verdict is what a history is worth.
type Verdict struct {
	Linearizable bool
	Answered     int // commands
	Lost         int // commands of which nobody knows
	Guesses      int // attempts that were acknowledged, each counted once
	Released     int // envelopes
	AfterLock    int // answers with a secret to what was asked after an answer that said locked
	Detail       string
}

// Good says that the history is one that a fleet may have.
func (v Verdict) Good() bool { return v.Linearizable && v.AfterLock == 0 && v.Answered > 0 }

// Judge judges what was recorded. It takes at most so long; what is undecided by then
// is not linearizable.
func (r *Recorder) Judge(most time.Duration) Verdict {
	r.mu.Lock()
	ops := slices.Clone(r.ops)
	v := Verdict{Answered: len(ops) - r.unknown, Lost: r.unknown}
	r.mu.Unlock()
	locked := map[string]int64{} // since when
	attempts := map[string]bool{}
	for _, op := range ops {
		c, out := op.Input.(*guess.Command), op.Output.(output)
		if out.known && out.status == guess.Locked {
			if at, ok := locked[c.Account]; !ok || op.Return < at {
				locked[c.Account] = op.Return
			}
		}
		if out.status == guess.Counted || out.status == guess.Again {
			attempts[c.Account+string(c.Attempt[:])] = true
		}
		if out.status == guess.Right {
			v.Released++
		}
	}
	v.Guesses = len(attempts)
	for _, op := range ops {
		c, out := op.Input.(*guess.Command), op.Output.(output)
		if at, ok := locked[c.Account]; ok && out.secret && op.Call > at {
			v.AfterLock++
		}
	}
	for _, part := range model.Partition(ops) {
		switch result := porcupine.CheckOperationsTimeout(model, part, most); result {
		case porcupine.Ok:
			continue
		default:
			v.Detail = fmt.Sprintf("account %s: %d operations: %v", part[0].Input.(*guess.Command).Account, len(part), result)
			return v
		}
	}
	v.Linearizable = true
	return v
}
