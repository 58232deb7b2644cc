package hsmhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/anchorhsm"
)

// Client is a node's HSM in its own process.
type Client struct {
	mu    sync.Mutex // from a question to its answer
	conn  net.Conn
	gone  error // once it is set, nothing is asked any more
	about string
}

// Dial connects with the process behind a socket. It waits, as long as ctx lasts, until
// the node that was connected before is gone.
func Dial(ctx context.Context, socket string) (*Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("the HSM's process isn't reached: %w", err)
	}
	c := &Client{conn: conn}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	about, err := c.ask(opAbout, nil, nil)
	if !stop() {
		err = errors.Join(err, fmt.Errorf("another node has this HSM, or its process does not answer: %w", ctx.Err()))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c.about = string(about)
	return c, nil
}

// About is what the HSM's module says of itself.
func (c *Client) About() string { return c.about }

// Sign has the token's key with this SubjectPublicKeyInfo sign a message, in the form
// that internal/keys verifies.
func (c *Client) Sign(spki, message []byte) ([]byte, error) { return c.ask(opSign, spki, message) }

// Agree has the token's key with this SubjectPublicKeyInfo agree with a peer, in the
// encoding of keys.Peer. The caller clears the secret.
func (c *Client) Agree(spki, peer []byte) ([]byte, error) { return c.ask(opAgree, spki, peer) }

// Anchor is the node's anchor in the HSM.
func (c *Client) Anchor() *Anchor { return &Anchor{c} }

// Anchor is a node's anchor in the HSM behind a client.
type Anchor struct{ c *Client }

var _ anchor.Keeper = (*Anchor)(nil)

// Read gives what was written last. The error is an anchorhsm.ErrUnfit of an HSM that
// keeps none.
func (a *Anchor) Read() ([]byte, error) { return a.c.ask(opRead, nil, nil) }

// Write returns once the HSM has the anchor.
func (a *Anchor) Write(data []byte) error {
	_, err := a.c.ask(opWrite, nil, data)
	return err
}

// Remove takes the anchor out of the HSM.
func (a *Anchor) Remove() error {
	_, err := a.c.ask(opRemove, nil, nil)
	return err
}

// unfit is an HSM's own word that it keeps no anchor.
type unfit string

func (u unfit) Error() string      { return string(u) }
func (unfit) Is(target error) bool { return target == anchorhsm.ErrUnfit }

// ask asks one thing. Once something can't be sent or read, it isn't known what the HSM
// has done, and nothing more is asked: the node has to start anew.
func (c *Client) ask(op byte, key, payload []byte) ([]byte, error) {
	body, err := (&question{op, key, payload}).encode()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil, c.gone
	}
	fail := func(err error) ([]byte, error) {
		c.gone = fmt.Errorf("the HSM's process is gone, and what it did last is not known; start the node anew: %w", err)
		return nil, c.gone
	}
	if err := send(c.conn, body); err != nil {
		return fail(err)
	}
	if body, err = receive(c.conn, 1+maxPayload); err != nil {
		return fail(err)
	}
	a, err := parseAnswer(body)
	if err != nil {
		return fail(err)
	}
	switch a.code {
	case answerNone:
		return nil, anchor.ErrNone
	case answerUnfit:
		return nil, unfit(a.payload)
	case answerFailed:
		return nil, errors.New(string(a.payload))
	}
	return a.payload, nil
}

// Close lets the next node have the HSM.
func (c *Client) Close() error { return c.conn.Close() }
