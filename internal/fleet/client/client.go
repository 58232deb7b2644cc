// Package client is what a device does in a session with a node that it has accepted: it
// registers its key under a recovery code or password, and recovers it. It reaches no
// network: a session is handed in.
//
// The device's key is 256 random bits that encrypt its backup. It leaves the device
// sealed under OPAQUE's export key, which follows from code or password, the account's
// OPRF key that only the nodes have, and the registration's own randomness; no node ever
// has it. Sealed, it is bound to account and fleet.
//
// What the loss of each secret costs:
//
//   - The code or password: whoever has it and may open a session gets the key in one
//     login, as its owner would. Without it nobody can help, neither operator nor nodes.
//   - The key itself: the backup can be read for good; no re-registration changes that.
//   - The registration's number: whoever has it can have the record erased, and learns
//     nothing.
//   - A session's keys, later: nothing of what OPAQUE carries, whose own key exchange is
//     ephemeral; the sealed key could be read from it, and is opened by nothing but the
//     export key.
package client

import (
	"errors"
	"fmt"
	"io"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// Device is a device, and whose key it keeps.
type Device struct {
	Random  io.Reader
	Account string // drill.…
	// Fleet is which fleet it is, as its nodes know it too: the digest of its key set.
	// What is registered with one fleet opens nothing from another.
	Fleet []byte
	// Stretch is the same at registration and recovery; nil is Argon2id with 2 GiB.
	Stretch opaque.Stretch
}

// Registration is what a device remembers of its registration: not the secret.
type Registration struct {
	Number           [16]byte // whoever knows it can have the record erased
	Epoch            uint64
	Remaining, Limit uint32
}

// Wrong means that a guess was used for nothing. Remaining is how many are left, as the
// node said before this one was judged.
type Wrong struct{ Remaining uint32 }

func (e *Wrong) Error() string {
	const what = "the recovery code or password is wrong, or there is no such account"
	switch e.Remaining {
	case 0:
		return what + "; no guess is left, and the next one destroys the record, even a right one"
	case 1:
		return what + "; 1 guess is left"
	}
	return fmt.Sprintf("%s; %d guesses are left", what, e.Remaining)
}

// ready is OPAQUE's client, and its input.
func (d *Device) ready(s Secret) (*opaque.Client, []byte, error) {
	if err := guess.CheckAccount(d.Account); err != nil {
		return nil, nil, err
	}
	if len(d.Fleet) == 0 {
		return nil, nil, errors.New("a device has to know with which fleet it speaks")
	}
	input, err := s.input(d.Account, d.Fleet)
	if err != nil {
		return nil, nil, err
	}
	c := &opaque.Client{Random: d.Random, Stretch: d.Stretch, Identity: []byte(d.Account), Server: d.Fleet}
	if c.Stretch == nil {
		c.Stretch = opaque.Argon2id
	}
	return c, input, nil
}

// Register has the nodes keep a key under a secret. Used is how many guesses the device
// has seen used of this account with an earlier fleet.
func (d *Device) Register(session io.ReadWriter, s Secret, key []byte, used uint32) (*Registration, error) {
	c, input, err := d.ready(s)
	if err != nil {
		return nil, err
	}
	request, r, err := c.Register(input)
	if err != nil {
		return nil, err
	}
	response, err := ask[*wire.RegisterAnswer](session, &wire.RegisterStart{Account: d.Account, Request: [32]byte(request)})
	if err != nil {
		return nil, fmt.Errorf("registering %s: %w", d.Account, err)
	}
	record, export, err := r.Finish(response.Response[:])
	if err != nil {
		return nil, fmt.Errorf("registering %s: the node's response: %w", d.Account, err)
	}
	sealed, err := Seal(d.Random, export, key, "vault", d.Account, string(d.Fleet))
	if err != nil {
		return nil, err
	}
	finish := &wire.RegisterFinish{Record: [192]byte(record), Envelope: sealed, Used: used}
	done, err := ask[*wire.Registered](session, finish)
	var refusal *wire.Refusal
	if errors.As(err, &refusal) && refusal.Code == wire.CodeUncertain {
		done, err = ask[*wire.Registered](session, finish) // the node gives it the same number
	}
	if err != nil {
		return nil, fmt.Errorf("registering %s: %w", d.Account, err)
	}
	return &Registration{done.Registration, done.Epoch, done.Remaining, done.Limit}, nil
}

// Login is one guess. It may be taken from node to node, where one is lost or doesn't
// lead: it is the same guess.
type Login struct {
	d         *Device
	login     *opaque.Login
	ke1       [96]byte
	Remaining uint32 // guesses left beside this one, as the last node said that answered
	Counted   bool   // a node has answered: a guess was used
}

// Login begins a guess with a secret. Nothing is sent yet.
func (d *Device) Login(s Secret) (*Login, error) {
	c, input, err := d.ready(s)
	if err != nil {
		return nil, err
	}
	ke1, l, err := c.Login(input)
	if err != nil {
		return nil, err
	}
	return &Login{d: d, login: l, ke1: [96]byte(ke1)}, nil
}

// Recover makes the guess in a session, whose exporter both of its ends have and nobody
// else. The error is *Wrong where the secret is; a *wire.Refusal says what a node
// refused by, and its code whether the same Login may be taken to a node again.
func (l *Login) Recover(session io.ReadWriter, exporter []byte) ([]byte, *Registration, error) {
	context, err := wire.Context(exporter)
	if err != nil {
		return nil, nil, err
	}
	answer, err := ask[*wire.LoginAnswer](session, &wire.LoginStart{Account: l.d.Account, KE1: l.ke1})
	if err != nil {
		return nil, nil, fmt.Errorf("recovering %s: %w", l.d.Account, err)
	}
	l.Remaining, l.Counted = answer.Remaining, true
	proved, err := l.login.Finish(context, answer.KE2[:])
	if errors.Is(err, opaque.ErrWrong) {
		return nil, nil, &Wrong{answer.Remaining}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("recovering %s: %w", l.d.Account, err)
	}
	done, err := ask[*wire.Recovered](session, &wire.LoginFinish{KE3: [64]byte(proved.KE3)})
	if err != nil {
		return nil, nil, fmt.Errorf("recovering %s: the secret is right, and %w", l.d.Account, err)
	}
	l.Remaining = done.Remaining
	key, err := Unseal(proved.Export, done.Envelope, "vault", l.d.Account, string(l.d.Fleet))
	if err != nil {
		return nil, nil, fmt.Errorf("recovering %s: %w", l.d.Account, err)
	}
	return key, &Registration{done.Registration, done.Epoch, done.Remaining, done.Limit}, nil
}

// Erase has the nodes destroy a registration's record, before the account moves to
// another epoch of the fleet. It gives how many guesses are used, which go with it.
func (d *Device) Erase(session io.ReadWriter, number [16]byte) (used uint32, err error) {
	done, err := ask[*wire.Erased](session, &wire.Erase{Account: d.Account, Registration: number})
	if err != nil {
		return 0, fmt.Errorf("erasing %s: %w", d.Account, err)
	}
	return done.Used, nil
}

// Status asks a node how it is. It is the node's word.
func Status(session io.ReadWriter) (*wire.Status, error) {
	return ask[*wire.Status](session, &wire.StatusRequest{})
}

// ask sends a message and reads its answer, which is of the one kind that it may be.
func ask[A wire.Message](session io.ReadWriter, m wire.Message) (answer A, err error) {
	if err := wire.Write(session, m); err != nil {
		return answer, fmt.Errorf("the session is lost: %w", err)
	}
	got, err := wire.Read(session)
	if err != nil {
		return answer, fmt.Errorf("the session is lost: %w", err)
	}
	if refusal, ok := got.(*wire.Refusal); ok {
		return answer, refusal
	}
	answer, ok := got.(A)
	if !ok {
		return answer, fmt.Errorf("the node answers %T with %T", m, got)
	}
	return answer, nil
}
