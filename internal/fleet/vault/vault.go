// Package vault is a node's side of what a device asks in a session: it registers,
// counts a guess before it answers one, and gives a sealed key to whoever proves the
// code or password for it. It is a reference, not a vault: OPAQUE's secrets are in this
// process, not in an HSM, and only accounts named drill.… are kept.
//
// The order of a login: KE1 comes; its SHA-256, which this node computes, is the
// attempt's number; a majority has the guess in its log; only then OPRF evaluation and
// KE2 leave. KE3 comes and is checked; a majority has in its log that the guess was
// right; only then the sealed key leaves.
//
// Who could get a device's key:
//
//   - Whoever knows the code or password, and the account: in one login.
//   - Whoever doesn't: by as many guesses as the limit, over all nodes and sessions
//     together. A guess is counted whether KE3 comes or not.
//   - Whoever has the memory of one node, or opens its sealed secrets: not from the
//     secrets alone, which hold no account's key. With the log's records and OPRF keys
//     besides, passwords can be tried without a count, each at the price of a
//     stretching; a recovery code of 206 bits can't.
//   - Whoever takes over the leader: sees sealed keys, records and OPRF keys of accounts
//     in the log. It can answer logins without counting.
//   - Nobody, once an account is locked or erased and the logs are compacted: its OPRF
//     key and sealed key were nowhere else.
//
// What isn't kept from anyone who asks: whether an account is registered. A single login
// of an unknown account is answered in the same form, by the same calls, after the same
// commit, with the same fake at each node, and counts down to the same lock. But that count
// is this node's alone, and is forgotten with it or after many others; a locked or erased account is told so, and
// registration says what it says (RFC 9807, 10.9). Anybody may register any account, or
// register it anew, which destroys the record before: who a person is, a real vault learns
// from its messenger.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// Log is what all nodes have in common: a command is answered once a majority has it.
// Its errors are *NotLeader or *NoMajority, or the node's own faults.
type Log interface {
	Submit(ctx context.Context, command []byte) (guess.Answer, error)
}

// NotLeader means that another node leads. Nothing was written.
type NotLeader struct{ Leader string }

func (e *NotLeader) Error() string { return fmt.Sprintf("this node doesn't lead; %q does", e.Leader) }

// NoMajority means that a command was not answered by a majority. Uncertain is whether
// one may have it, or will: nobody can know yet.
type NoMajority struct {
	Uncertain bool
	Err       error
}

func (e *NoMajority) Error() string {
	return fmt.Sprintf("no majority (uncertain: %t): %v", e.Uncertain, e.Err)
}
func (e *NoMajority) Unwrap() error { return e.Err }

// Config is what a node's vault is made of. All of it is needed.
type Config struct {
	Log    Log
	Server *opaque.Server
	Random io.Reader
	Epoch  uint64 // of the fleet, for new registrations
	Limit  uint32 // guesses of an account
	Status func() wire.Status
}

// Vault answers devices. Sessions may use it at the same time.
type Vault struct {
	c       Config
	unknown strangers
}

// New is a node's vault.
func New(c Config) (*Vault, error) {
	switch {
	case c.Log == nil || c.Server == nil || c.Random == nil || c.Status == nil:
		return nil, errors.New("a vault wants a log, OPAQUE's server, randomness and a status")
	case c.Epoch == 0:
		return nil, errors.New("a vault wants the fleet's epoch; there is no epoch 0")
	case c.Limit == 0 || c.Limit > guess.MostLimit:
		return nil, fmt.Errorf("a limit of %d guesses: 1 to %d are possible", c.Limit, guess.MostLimit)
	}
	return &Vault{c: c, unknown: strangers{limit: c.Limit}}, nil
}

// submit has a command written, and turns what the log says against it into what a
// device is told.
func (v *Vault) submit(ctx context.Context, c *guess.Command) (guess.Answer, error) {
	data, err := c.Encode()
	if err != nil {
		return guess.Answer{}, err
	}
	a, err := v.c.Log.Submit(ctx, data)
	var notLeader *NotLeader
	var noMajority *NoMajority
	switch {
	case errors.As(err, &notLeader):
		r := wire.Refuse(wire.CodeNotLeader, "")
		r.Leader = wire.Refuse(wire.CodeNotLeader, notLeader.Leader).Detail
		return a, r
	case errors.As(err, &noMajority) && noMajority.Uncertain:
		return a, wire.Refuse(wire.CodeUncertain, "")
	case errors.As(err, &noMajority):
		return a, wire.Refuse(wire.CodeNoMajority, "")
	case err != nil:
		return a, err
	}
	return a, refusedBy(a)
}

// refusedBy are the answers of the log that a device is refused by, whatever it asked.
func refusedBy(a guess.Answer) error {
	switch a.Status {
	case guess.NotDrill:
		return wire.Refuse(wire.CodeNotDrill, "")
	case guess.Locked:
		return wire.Refuse(wire.CodeLocked, "")
	case guess.EraseFirst:
		return wire.Refuse(wire.CodeEraseFirst, fmt.Sprintf("epoch %d", a.Epoch))
	case guess.WrongEpoch, guess.Retired:
		return wire.Refuse(wire.CodeRetired, "")
	case guess.NoAttempt, guess.NoRegistration:
		return wire.Refuse(wire.CodeNumber, "")
	case guess.Full:
		return wire.Refuse(wire.CodeFull, "")
	}
	return nil
}
