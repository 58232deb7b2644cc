// Package phone is a device of a fleet: it opens sessions with nodes that it accepts,
// finds the one that leads, and has one guess be one guess, however many nodes are lost
// over it, or refused.
package phone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// Node is where a device reaches a node.
type Node struct{ HSM, Address string }

// Phone is a device. It does one thing at a time.
type Phone struct {
	Session session.Client
	Nodes   []Node // asked in this order, and where a node says who leads, there next
	Account string
	Random  io.Reader
	Stretch opaque.Stretch // nil: Argon2id with 2 GiB
	// Patience is how long one node has for one answer.
	Patience time.Duration
	// Over, if set, is told of each session before anything is said in it, and gives what
	// is spoken over: it can listen.
	Over func(*session.Session) io.ReadWriter
}

// Answer is how something ended.
type Answer struct {
	Node         string // that answered
	Key          []byte // recovered
	Registration client.Registration
	// Counted says that a node answered the guess; Remaining is what it then said is
	// left. Uncertain says that a guess may have been used of which nobody answered.
	Counted, Uncertain bool
	Remaining          uint32
	Refused            []Refused // nodes that were refused on the way, whatever came of it
}

// pause is how long a device waits before it asks again where nobody leads.
const pause = 50 * time.Millisecond

// Open opens a session with a node, and with no other one. Everything in it has to be over within the device's
// patience.
func (p *Phone) Open(ctx context.Context, n Node) (*session.Session, error) {
	ctx, stop := context.WithTimeout(ctx, p.Patience)
	defer stop()
	s, err := p.Session.Dial(ctx, n.Address)
	if err != nil {
		return nil, err
	}
	if s.Node() != n.HSM {
		err := &bundle.Refusal{Reason: session.ReasonNode, Err: fmt.Errorf("node %s: %s answers in the place of %s", n.Address, s.Node(), n.HSM)}
		return nil, errors.Join(err, s.Close())
	}
	if err := s.SetDeadline(time.Now().Add(p.Patience)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Register has the fleet keep a key under a secret. used is how many guesses the device
// has seen used of this account with an earlier epoch.
func (p *Phone) Register(ctx context.Context, secret client.Secret, key []byte, used uint32) (*Answer, error) {
	a := &Answer{}
	var err error
	a.Refused, err = p.ask(ctx, func(s *session.Session, over io.ReadWriter) error {
		r, err := p.device(s).Register(over, secret, key, used)
		if err == nil {
			a.Node, a.Registration, a.Remaining = s.Node(), *r, r.Remaining
		}
		return err
	})
	return a, err
}

// Recover makes one guess. Where its error is a *client.Wrong, the guess was wrong.
func (p *Phone) Recover(ctx context.Context, secret client.Secret) (*Answer, error) {
	a := &Answer{}
	var login *client.Login
	var err error
	// The same login goes from node to node, so that no node, and nobody between, can have
	// one try use two guesses: what is counted is its KE1.
	a.Refused, err = p.ask(ctx, func(s *session.Session, over io.ReadWriter) (err error) {
		if login == nil {
			if login, err = p.device(s).Login(secret); err != nil {
				return err
			}
		}
		key, r, err := login.Recover(over, s.Exporter())
		a.Counted, a.Remaining = login.Counted, login.Remaining
		a.Uncertain = a.Uncertain || err != nil && maybe(err)
		if wrong := (*client.Wrong)(nil); err == nil || errors.As(err, &wrong) {
			a.Node = s.Node()
		}
		if err == nil {
			a.Key, a.Registration = key, *r
		}
		return err
	})
	a.Uncertain = a.Uncertain && !a.Counted
	switch wrong := (*client.Wrong)(nil); {
	case err == nil, errors.As(err, &wrong): // which says what is left
	case a.Counted:
		err = fmt.Errorf("%w; a guess was used, and another try uses another one", err)
	case a.Uncertain:
		err = fmt.Errorf("%w; whether a guess was used is not known, and another try may use another one", err)
	}
	return a, err
}

// maybe says whether a guess may have been counted of which no answer came.
func maybe(err error) bool {
	var wrong *client.Wrong
	var refusal *wire.Refusal
	switch {
	case errors.As(err, &wrong):
		return false
	case errors.As(err, &refusal):
		return refusal.Code == wire.CodeUncertain
	}
	return true // the session was lost
}

func (p *Phone) device(s *session.Session) *client.Device {
	fleet := s.Accepted().Bundle.KeySet.Digest()
	return &client.Device{Random: p.Random, Account: p.Account, Fleet: fleet[:], Stretch: p.Stretch}
}

// ask does something in a session with the node that leads. Where it is lost, or doesn't
// know whether its answer counts, it is asked again, until ctx ends. A node that is refused
// for what it alone has said is asked no more; the others are.
func (p *Phone) ask(ctx context.Context, do func(*session.Session, io.ReadWriter) error) (refused []Refused, err error) {
	if len(p.Nodes) == 0 {
		return nil, errors.New("the device was told of no node")
	}
	if err := guess.CheckAccount(p.Account); err != nil {
		return nil, err
	}
	left := slices.Clone(p.Nodes)
	at, tried := 0, 0
	var none error // a node's word that there is no majority: it says more than that others aren't reached
	for {
		s, err := p.Open(ctx, left[at])
		if r := (*bundle.Refusal)(nil); errors.As(err, &r) && alone(r) {
			refused = append(refused, Refused{left[at], r})
			if left = slices.Delete(left, at, at+1); len(left) == 0 {
				return refused, &Nobody{Refused: refused}
			}
			at %= len(left)
			continue
		}
		if err == nil {
			over := io.ReadWriter(s)
			if p.Over != nil {
				over = p.Over(s)
			}
			err = do(s, over)
			s.Close()
		}
		next, again := next(err, left, at)
		if !again {
			return refused, err
		}
		if refusal := (*wire.Refusal)(nil); errors.As(err, &refusal) && refusal.Code == wire.CodeNoMajority {
			none = err
		}
		if tried++; next == at || tried%len(left) == 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return refused, &Nobody{Refused: refused, Err: cmp.Or(none, err)}
		}
		at = next
	}
}

// next is who is asked next after an error, if anybody is.
func next(err error, nodes []Node, at int) (next int, again bool) {
	next = (at + 1) % len(nodes)
	var refused *bundle.Refusal
	var wrong *client.Wrong
	var refusal *wire.Refusal
	switch {
	case err == nil, errors.As(err, &refused), errors.As(err, &wrong), errors.Is(err, bundle.ErrTrust):
		return 0, false
	case !errors.As(err, &refusal):
		return next, true // the node is lost
	}
	switch refusal.Code {
	case wire.CodeNotLeader:
		for i, n := range nodes {
			if n.HSM == refusal.Leader && i != at {
				return i, true
			}
		}
		return next, true
	case wire.CodeNoMajority, wire.CodeUncertain, wire.CodeNode:
		return next, true
	}
	return 0, false
}

// Status asks one node how it is: its word, and no proof.
func (p *Phone) Status(ctx context.Context, n Node) (*wire.Status, error) {
	s, err := p.Open(ctx, n)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return client.Status(s)
}

// Erase has the fleet destroy a registration's record, and gives how many guesses are
// used.
func (p *Phone) Erase(ctx context.Context, number [16]byte) (used uint32, err error) {
	_, err = p.ask(ctx, func(s *session.Session, over io.ReadWriter) (err error) {
		used, err = p.device(s).Erase(over, number)
		return err
	})
	return used, err
}
