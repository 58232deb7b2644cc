package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// conversation is one device's session: what it has begun. It has one thing under way at
// a time; beginning another forgets the first.
type conversation struct {
	v       *Vault
	context []byte // what a login is bound to
	reg     *registering
	login   *loggingIn
}

type registering struct {
	account      string
	key          []byte
	registration [16]byte
}

type loggingIn struct {
	account      string
	attempt      [32]byte
	registration [16]byte // zero of an unknown account, of which no success can be written
	pending      *opaque.Pending
}

// Serve answers a device until it closes its session. The exporter is the session's,
// known to its two ends alone. How long a silent device is waited for is the caller's
// to say, by the connection's deadline.
//
// A refusal goes to the device and the session goes on, but for one of a message that is
// none, or comes at the wrong time; that one, and the node's own faults, Serve returns.
func (v *Vault) Serve(ctx context.Context, conn io.ReadWriter, exporter []byte) error {
	bound, err := wire.Context(exporter)
	if err != nil {
		return err
	}
	c := &conversation{v: v, context: bound}
	for {
		m, err := wire.Read(conn)
		if errors.Is(err, io.EOF) && m == nil {
			return nil
		}
		if err != nil {
			return errors.Join(err, wire.Write(conn, wire.Refuse(wire.CodeMalformed, err.Error())))
		}
		answer, err := c.answer(ctx, m)
		var refusal *wire.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Code == wire.CodeOrder:
			return errors.Join(err, wire.Write(conn, refusal))
		case errors.As(err, &refusal):
			answer = refusal
		case err != nil: // what went wrong here is not the device's to know
			return errors.Join(err, wire.Write(conn, wire.Refuse(wire.CodeNode, "")))
		}
		if err := wire.Write(conn, answer); err != nil {
			return err
		}
	}
}

func (c *conversation) answer(ctx context.Context, m wire.Message) (wire.Message, error) {
	switch m := m.(type) {
	case *wire.RegisterStart:
		return c.registerStart(m)
	case *wire.RegisterFinish:
		return c.registerFinish(ctx, m)
	case *wire.LoginStart:
		return c.loginStart(ctx, m)
	case *wire.LoginFinish:
		return c.loginFinish(ctx, m)
	case *wire.Erase:
		return c.erase(ctx, m)
	case *wire.StatusRequest:
		s := c.v.c.Status()
		return &s, nil
	}
	return nil, wire.Refuse(wire.CodeOrder, "it is a node's, not a device's")
}

// named refuses accounts that aren't kept, before anything is made for them.
func named(account string) error {
	err := guess.CheckAccount(account)
	switch {
	case errors.Is(err, guess.ErrNotDrill):
		return wire.Refuse(wire.CodeNotDrill, "")
	case err != nil:
		return wire.Refuse(wire.CodeMalformed, err.Error())
	}
	return nil
}

func (c *conversation) registerStart(m *wire.RegisterStart) (wire.Message, error) {
	c.reg = nil
	if err := named(m.Account); err != nil {
		return nil, err
	}
	key, err := c.v.c.Server.NewOPRFKey()
	if err != nil {
		return nil, err
	}
	response, err := c.v.c.Server.Respond(key, m.Request[:])
	if err != nil {
		return nil, wire.Refuse(wire.CodeMalformed, err.Error())
	}
	r := &registering{account: m.Account, key: key}
	if _, err := io.ReadFull(c.v.c.Random, r.registration[:]); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	c.reg = r
	return &wire.RegisterAnswer{Response: [64]byte(response)}, nil
}

// registerFinish has the record written. A device whose answer was uncertain may send it
// again in the same session: the number is the same, so that it is written once.
func (c *conversation) registerFinish(ctx context.Context, m *wire.RegisterFinish) (wire.Message, error) {
	r := c.reg
	if r == nil {
		return nil, wire.Refuse(wire.CodeOrder, "no registration was begun")
	}
	if err := opaque.CheckRecord(m.Record[:]); err != nil {
		return nil, wire.Refuse(wire.CodeMalformed, err.Error())
	}
	if m.Used > guess.MostLimit {
		return nil, wire.Refuse(wire.CodeMalformed, fmt.Sprintf("%d guesses used: %d are the most", m.Used, guess.MostLimit))
	}
	a, err := c.v.submit(ctx, &guess.Command{Kind: guess.Register, Account: r.account, Registration: r.registration, Epoch: c.v.c.Epoch,
		Limit: c.v.c.Limit, Used: m.Used, Record: m.Record[:], OPRFKey: r.key, Envelope: m.Envelope})
	if err != nil {
		return nil, err
	}
	if a.Status != guess.Registered {
		return nil, fmt.Errorf("a registration is answered %v", a.Status)
	}
	c.reg = nil
	return &wire.Registered{Registration: r.registration, Epoch: a.Epoch, Remaining: a.Remaining, Limit: a.Limit}, nil
}

// loginStart counts the guess, and then answers it.
func (c *conversation) loginStart(ctx context.Context, m *wire.LoginStart) (wire.Message, error) {
	c.login = nil
	if err := named(m.Account); err != nil {
		return nil, err
	}
	if err := opaque.CheckKE1(m.KE1[:]); err != nil { // no guess is counted that can't be answered
		return nil, wire.Refuse(wire.CodeMalformed, err.Error())
	}
	// Made for each account, so that it takes the same time whether there is one.
	record, key, err := c.v.c.Server.Unknown([]byte(m.Account))
	if err != nil {
		return nil, err
	}
	l := &loggingIn{account: m.Account, attempt: sha256.Sum256(m.KE1[:])}
	a, err := c.v.submit(ctx, &guess.Command{Kind: guess.Guess, Account: l.account, Attempt: l.attempt})
	if err != nil {
		return nil, err
	}
	remaining := a.Remaining
	switch a.Status {
	case guess.Counted, guess.Again:
		record, key, l.registration = a.Record, a.OPRFKey, a.Registration
	case guess.Unknown:
		var locked bool
		if remaining, locked = c.v.unknown.guess(l.account, l.attempt); locked {
			return nil, wire.Refuse(wire.CodeLocked, "")
		}
	case guess.Erased:
		return nil, wire.Refuse(wire.CodeErased, "")
	default:
		return nil, fmt.Errorf("a guess is answered %v", a.Status)
	}
	ke2, pending, err := c.v.c.Server.Answer(c.context, opaque.Credential{Identity: []byte(l.account), Record: record, OPRFKey: key}, m.KE1[:])
	if err != nil {
		return nil, err
	}
	l.pending = pending
	c.login = l
	return &wire.LoginAnswer{Remaining: remaining, KE2: [320]byte(ke2)}, nil
}

// loginFinish gives the sealed key to whoever proves that the guess was right, once a
// majority has it that it was.
func (c *conversation) loginFinish(ctx context.Context, m *wire.LoginFinish) (wire.Message, error) {
	l := c.login
	c.login = nil
	if l == nil {
		return nil, wire.Refuse(wire.CodeOrder, "no login was begun")
	}
	if _, err := l.pending.Finish(m.KE3[:]); err != nil {
		return nil, wire.Refuse(wire.CodeWrong, "")
	}
	a, err := c.v.submit(ctx, &guess.Command{Kind: guess.Success, Account: l.account, Registration: l.registration, Attempt: l.attempt})
	switch {
	case err != nil:
		return nil, err
	case a.Status == guess.Erased || a.Status == guess.Unknown:
		return nil, wire.Refuse(wire.CodeErased, "")
	case a.Status != guess.Right:
		return nil, fmt.Errorf("a login that succeeded is answered %v", a.Status)
	}
	return &wire.Recovered{Registration: l.registration, Epoch: a.Epoch, Remaining: a.Remaining, Limit: a.Limit, Envelope: a.Envelope}, nil
}

// erase destroys a record. It takes the registration's number, which only the device
// that registered or recovered was told.
func (c *conversation) erase(ctx context.Context, m *wire.Erase) (wire.Message, error) {
	if err := named(m.Account); err != nil {
		return nil, err
	}
	if m.Registration == [16]byte{} {
		return nil, wire.Refuse(wire.CodeMalformed, "the registration's number is zero")
	}
	a, err := c.v.submit(ctx, &guess.Command{Kind: guess.Erase, Account: m.Account, Registration: m.Registration})
	switch {
	case err != nil:
		return nil, err
	case a.Status == guess.Unknown:
		return nil, wire.Refuse(wire.CodeNumber, "")
	case a.Status != guess.Erased:
		return nil, fmt.Errorf("an erasure is answered %v", a.Status)
	}
	return &wire.Erased{Used: a.Used, Limit: a.Limit}, nil
}
