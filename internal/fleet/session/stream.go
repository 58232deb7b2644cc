package session

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Stream is the channel on which the nodes of one bundle replicate, as hashicorp/raft
// takes it. Both sides show their HSM's key of the session role, and say of which
// bundle they are a node: it must be the same one, to the byte.
type Stream struct {
	l         net.Listener
	node      string
	cert      tls.Certificate
	role      string
	key       *Key
	second    *PostQuantum // nil where the bundle demands none
	set       *bundle.KeySet
	digest    [sha256.Size]byte
	advertise string
	refused   func(error)
	broken    func(error)

	ctx   context.Context
	end   context.CancelFunc
	ready chan *Conn
	all   sync.WaitGroup
}

var _ raft.StreamLayer = (*Stream)(nil)

// Peer is one node of a stream.
type Peer struct {
	Node, Role string
	Key        *Key
	Second     *PostQuantum // without which a bundle that demands one is refused; else nil
	Bundle     []byte       // that the node's operator has verified
	// Advertise is the address at which the others reach this node, where it isn't
	// the listener's.
	Advertise string
	// Refused, if set, is told of connections that are refused, and of errors of the
	// listener that pass.
	Refused func(error)
	// Broken, if set, is told why the stream takes no connections any more, though nobody
	// closed it: its node has to end, since the others don't reach it.
	Broken func(error)
}

// NewStream begins to take connections from a listener, which it closes at its end.
func NewStream(l net.Listener, p Peer) (*Stream, error) {
	b, err := bundle.ParseBundle("bundle", p.Bundle)
	if err != nil {
		return nil, err
	}
	if err := named(b.KeySet, p.Role, p.Node, p.Key.SPKI()); err != nil {
		return nil, fmt.Errorf("node %s: %w", p.Node, err)
	}
	signs, err := p.Second.serves(b.KeySet, p.Node)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", p.Node, err)
	}
	cert, err := p.Key.certificate(p.Node)
	if err != nil {
		return nil, err
	}
	s := &Stream{
		l: serve.Bounded(l), node: p.Node, cert: cert, role: p.Role, set: b.KeySet, digest: sha256.Sum256(p.Bundle),
		advertise: p.Advertise, refused: p.Refused, broken: p.Broken, ready: make(chan *Conn),
	}
	if s.key = p.Key; signs {
		s.second = p.Second
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.all.Go(s.take)
	return s, nil
}

func (s *Stream) take() {
	for {
		conn, err := serve.Accept(s.ctx, s.l, s.refused)
		if err != nil {
			if s.broken != nil && s.ctx.Err() == nil {
				s.broken(fmt.Errorf("the other nodes can't connect to node %s any more: %w", s.node, err))
			}
			s.end() // Accept says so
			return
		}
		s.all.Go(func() {
			c, err := s.open(s.ctx, conn, server)
			if err != nil {
				if s.refused != nil && s.ctx.Err() == nil {
					s.refused(fmt.Errorf("node %s refuses a connection: %w", s.node, err))
				}
				return
			}
			select {
			case s.ready <- c:
			case <-s.ctx.Done():
				c.Close()
			}
		})
	}
}

// Accept waits for the next connection of a node of the same bundle.
func (s *Stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Dial connects with another node of the same bundle.
func (s *Stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	if timeout > 0 {
		ctx, stop = context.WithTimeout(s.ctx, timeout)
		defer stop()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	c, err := s.open(ctx, conn, client)
	if err != nil {
		return nil, fmt.Errorf("node %s refuses %s: %w", s.node, address, err)
	}
	return c, nil
}

// open does the handshake of either side, and closes the connection on error.
func (s *Stream) open(ctx context.Context, conn net.Conn, side string) (_ *Conn, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, ctx.Err(), conn.Close())
		}
	}()
	done, err := within(ctx, conn)
	if err != nil {
		return nil, err
	}
	var key []byte
	var peer string
	cfg := config(RaftProtocol, func(c tls.ConnectionState) (err error) {
		if key, err = shown(c); err == nil {
			peer, err = holder(s.set, s.role, key)
		}
		return err
	})
	cfg.Certificates, cfg.ClientAuth = []tls.Certificate{s.cert}, tls.RequireAnyClientCert
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.cert, nil }
	t := tls.Server(conn, cfg)
	if side == client {
		t = tls.Client(conn, cfg)
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, shaken(err)
	}
	if err := s.agree(t, peer); err != nil {
		return nil, err
	}
	if err := s.sign(t, side, peer, key); err != nil {
		return nil, err
	}
	c, err := newConn(t, peer, key, s.digest)
	if err != nil {
		return nil, err
	}
	if err := done(); err != nil {
		return nil, err
	}
	return c, nil
}

// agree has both sides say of which bundle they are a node, as what.
func (s *Stream) agree(t *tls.Conn, peer string) error {
	mine := append(binary.BigEndian.AppendUint32(nil, uint32(len(s.digest)+len(s.node))), s.digest[:]...)
	if _, err := t.Write(append(mine, s.node...)); err != nil {
		return shaken(err)
	}
	theirs, err := readFrame(t, sha256.Size+maxNode)
	if err != nil {
		return shaken(err)
	}
	if len(theirs) < sha256.Size || strict.CheckToken(string(theirs[sha256.Size:])) != nil {
		return refuse(ReasonAnswer, "node %s says no bundle and no name", peer)
	}
	digest, name := [sha256.Size]byte(theirs), string(theirs[sha256.Size:])
	switch {
	case name != peer:
		return refuse(ReasonNode, "a node says that it is %s and shows the key of %s", name, peer)
	case digest != s.digest:
		return refuse(ReasonNode, "node %s is of the bundle %x, and %s of %x: nodes replicate within one bundle", peer, digest, s.node, s.digest)
	}
	return nil
}

// sign has both sides sign the connection with their ML-DSA keys, where the bundle, which
// is one and the same, demands it.
func (s *Stream) sign(t *tls.Conn, side, peer string, key []byte) error {
	if s.second == nil {
		return nil
	}
	mine := &channel{protocol: RaftProtocol, set: s.set, bundle: s.digest, side: side, node: s.node, role: s.second.role, tls: s.role, shown: s.key.SPKI()}
	if err := mine.sign(t, s.second); err != nil {
		return err
	}
	theirs := *mine
	theirs.side, theirs.node, theirs.shown = server, peer, key
	if side == server {
		theirs.side = client
	}
	return theirs.verify(t)
}

// Close ends the stream; connections that were handed out go on.
func (s *Stream) Close() error {
	s.end()
	err := s.l.Close()
	s.all.Wait()
	return err
}

// Addr is where the others reach this node.
func (s *Stream) Addr() net.Addr {
	if s.advertise != "" {
		return address(s.advertise)
	}
	return s.l.Addr()
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
