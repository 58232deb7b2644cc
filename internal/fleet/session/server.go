package session

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/serve"
)

// Server is a node that devices open sessions with.
type Server struct {
	node, role string
	key        *Key
	second     *PostQuantum // nil where no bundle demands one
	cert       tls.Certificate
	current    atomic.Pointer[current]
}

// current is what the node says to a device, now.
type current struct {
	frame    []byte
	artifact [sha256.Size]byte
	signs    *channel // what is signed of each session; nil where nothing is
}

// NewServer is the node of this name with its HSM's key of the session role. It
// refuses an answer in which that key isn't this node's. second is its ML-DSA key, without
// which it refuses a bundle that demands one; else it is nil.
func NewServer(node, role string, key *Key, second *PostQuantum, a Answer) (*Server, error) {
	cert, err := key.certificate(node)
	if err != nil {
		return nil, err
	}
	s := &Server{node: node, role: role, key: key, second: second, cert: cert}
	return s, s.Update(a)
}

// Update gives the sessions that begin from now on another answer: a fresher proof, or
// a notice by which the fleet is retired.
func (s *Server) Update(a Answer) error {
	b, err := bundle.ParseAny("bundle", a.Bundle)
	if err != nil {
		return err
	}
	now := &current{artifact: b.About().Digest}
	if b.KeySet != nil { // devices refuse every other one before it could be signed
		err := named(b.KeySet, s.role, s.node, s.key.SPKI())
		signs := false
		if err == nil {
			signs, err = s.second.serves(b.KeySet, s.node)
		}
		if err != nil {
			return fmt.Errorf("node %s has an answer that is not its own: %w", s.node, err)
		}
		if signs {
			now.signs = &channel{protocol: DrillProtocol, set: b.KeySet, bundle: sha256.Sum256(a.Bundle), side: server, node: s.node, role: s.second.role, tls: s.role, shown: s.key.SPKI()}
		}
	}
	if now.frame, err = (&greeting{s.node, a, now.signs != nil}).encode(); err != nil {
		return err
	}
	s.current.Store(now)
	return nil
}

// Open opens a session over a connection that a device has made, which it closes on
// error.
func (s *Server) Open(ctx context.Context, conn net.Conn) (_ *Conn, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, ctx.Err(), conn.Close())
		}
	}()
	done, err := within(ctx, conn)
	if err != nil {
		return nil, err
	}
	cfg := config(DrillProtocol, func(tls.ConnectionState) error { return nil }) // devices show no certificate
	cfg.Certificates = []tls.Certificate{s.cert}
	t := tls.Server(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, shaken(err)
	}
	now := s.current.Load()
	if _, err := t.Write(now.frame); err != nil {
		return nil, err
	}
	if now.signs != nil {
		this := *now.signs
		if err := this.sign(t, s.second); err != nil {
			return nil, err
		}
	}
	c, err := newConn(t, s.node, s.key.SPKI(), now.artifact)
	if err != nil {
		return nil, err
	}
	if err := done(); err != nil {
		return nil, err
	}
	return c, nil
}

// Serve has handle talk to each device that connects, until ctx ends; then it ends the
// sessions that are left, and waits for handle. It talks to no more at once than serve.Bounded lets in, so
// that one client leaves room for the others. refused, if set, is told of connections that came to no
// session, and of errors of the listener that pass: only one that takes no connections any
// more ends it, and every session with it. handle's session is closed when it returns.
func (s *Server) Serve(ctx context.Context, l net.Listener, handle func(context.Context, *Conn), refused func(error)) error {
	ctx, end := context.WithCancel(ctx)
	l = serve.Bounded(l)
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	defer end() // a device that stays would keep up a node that no other one reaches
	for {
		conn, err := serve.Accept(ctx, l, refused)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("devices can't connect any more: %w", err)
		}
		all.Go(func() {
			c, err := s.Open(ctx, conn)
			if err != nil {
				if refused != nil && ctx.Err() == nil {
					refused(err)
				}
				return
			}
			defer c.Close()
			// Whoever still waits for a device when the node ends waits no longer.
			defer context.AfterFunc(ctx, func() { c.Close() })()
			handle(ctx, c)
		})
	}
}
