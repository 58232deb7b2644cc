package session

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
)

// Client is a device that opens sessions with nodes of its fleet.
type Client struct {
	Policy *device.Policy
	// State and Guard are what the device remembers: see [device.Question].
	State, Guard device.Place
	Begin        bool
	// Role is the plan's name of the session role. A fleet may have several roles
	// that sign, so that it can't be guessed.
	Role string
	// PostQuantumRole is the plan's name of the role whose ML-DSA keys sign each session
	// inside TLS. Where it is empty the policy says it, or else the bundle, whose only such
	// role it is.
	PostQuantumRole string
	Now             func() time.Time
}

// Session is a device's session, and what it has accepted of the node.
type Session struct {
	*Conn
	verdict *device.Verdict
}

// Accepted is the bundle that the device trusts, and its state.
func (s *Session) Accepted() *device.Verdict { return s.verdict }

// Dial opens a session with a node at host:port. The error is a *bundle.Refusal where
// the node is refused. Nothing was then sent to it but the TLS handshake.
func (c *Client) Dial(ctx context.Context, address string) (*Session, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("node %s can't be reached: %w", address, err)
	}
	s, err := c.Open(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", address, err)
	}
	return s, nil
}

// Open opens a session over a connection, which it closes on error.
func (c *Client) Open(ctx context.Context, conn net.Conn) (_ *Session, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, ctx.Err(), conn.Close())
		}
	}()
	if c.Role == "" || c.Policy == nil || c.Now == nil {
		return nil, fmt.Errorf("%w: a device needs a policy, the session role's name and a clock", bundle.ErrTrust)
	}
	var key []byte
	t := tls.Client(conn, config(DrillProtocol, func(s tls.ConnectionState) (err error) {
		key, err = shown(s)
		return err
	}))
	done, err := within(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, shaken(err)
	}
	g, err := readGreeting(t)
	if err != nil {
		return nil, err
	}
	v, err := c.judge(g, key)
	if err != nil {
		return nil, err
	}
	if err := c.signed(t, g, v.Bundle.KeySet, key); err != nil {
		return nil, err
	}
	n, err := newConn(t, g.node, key, v.Bundle.KeySet.Digest())
	if err != nil {
		return nil, err
	}
	if err := done(); err != nil {
		return nil, err
	}
	return &Session{n, v}, nil
}

// judge is the device's check of a node's answer, and of the key that TLS has shown.
func (c *Client) judge(g *greeting, key []byte) (*device.Verdict, error) {
	v, err := device.Check(device.Question{
		Bundle: g.Bundle, Proof: g.Proof, Policy: c.Policy, Now: c.Now(), State: c.State, Guard: c.Guard, Begin: c.Begin,
	})
	if err != nil {
		return nil, err
	}
	if v.Bundle.KeySet == nil {
		about, why, how := v.Bundle.About(), bundle.ReasonVoid, "declared void"
		if about.Retires {
			why, how = bundle.ReasonRetired, "retired"
		}
		return nil, refuse(why, "fleet %s is %s by its epoch %d, so that no node of it is spoken to", about.Fleet, how, about.Epoch)
	}
	return v, named(v.Bundle.KeySet, c.Role, g.node, key)
}

// Pinned is the role of ML-DSA keys that a device's policy pins, or the one that is given
// where it pins none; empty where neither names one. Two that differ are refused: no node
// serves both.
func Pinned(p *device.Policy, given string) (string, error) {
	switch pinned := p.SessionPostQuantum; {
	case pinned == "" || pinned == given:
		return given, nil
	case given == "":
		return pinned, nil
	default:
		return "", fmt.Errorf("%w: the device's policy has sessions signed by keys of role %s, and role %s is named (--role-pq)", bundle.ErrTrust, pinned, given)
	}
}

// signed demands that the node signs the session with its ML-DSA key, where the bundle, or
// what the device pins, says that its nodes do.
func (c *Client) signed(t *tls.Conn, g *greeting, set *bundle.KeySet, key []byte) error {
	given, err := Pinned(c.Policy, c.PostQuantumRole)
	if err != nil {
		return err
	}
	role, err := PostQuantumRole(set, given)
	switch {
	case err != nil:
		return err
	case role == "" && g.signs:
		return refuse(ReasonPostQuantum, "node %s signs the session inside TLS, and its bundle has no key by which it could", g.node)
	case role == "":
		return nil
	case !g.signs:
		return refuse(ReasonPostQuantum, "node %s doesn't sign the session with its ML-DSA key of role %s, as the fleet's bundle demands: whoever has broken its classical key could say the same", g.node, role)
	}
	return (&channel{protocol: DrillProtocol, set: set, bundle: sha256.Sum256(g.Bundle), side: server, node: g.node, role: role, tls: c.Role, shown: key}).verify(t)
}

// within bounds a connection's handshake and first frame: by patience, and by ctx.
// done ends that.
func within(ctx context.Context, conn net.Conn) (done func() error, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() error {
		if !stop() {
			return ctx.Err()
		}
		return conn.SetDeadline(time.Time{})
	}, nil
}
