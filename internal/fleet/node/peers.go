package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/fleet/session"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// peers is the channel between the nodes of a fleet, as Raft takes it. Raft knows a node
// by its HSM's name, and each node's own site file says where that is. Beside Raft's
// messages it carries what a node asks another one: see question.
type peers struct {
	stream *session.Stream
	at     map[string]string // by HSM
	answer func(ctx context.Context, from string, q *question) *reply

	ctx   context.Context
	end   context.CancelFunc
	ready chan net.Conn
	all   sync.WaitGroup
}

var _ raft.StreamLayer = (*peers)(nil)

// asks is the first byte of a connection on which a node asks. Raft's own begin with the
// number of a message, of which there are few.
const asks = 0x80

// question is what a node asks the one that leads.
type question struct {
	Ask         string   `strict:"ask"`
	Incarnation [16]byte `strict:"incarnation,hex,optional"`
	Applied     uint64   `strict:"applied,optional"` // up to which entry of the log it is
}

// The questions.
const (
	askJoin = "join" // to become a member, in the place of an earlier incarnation
	askLead = "lead" // to become the leader
)

// reply is the answer.
type reply struct {
	Done   bool   `strict:"done"`
	Leader string `strict:"leader,optional"` // who leads, where the one who was asked doesn't
	Error  string `strict:"error,optional"`
}

const maxAsk = 4 << 10

func newPeers(s *session.Stream, at map[string]string, answer func(context.Context, string, *question) *reply) *peers {
	p := &peers{stream: s, at: at, answer: answer, ready: make(chan net.Conn)}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.all.Go(p.take)
	return p
}

func (p *peers) take() {
	for {
		c, err := p.stream.Accept()
		if err != nil {
			p.end()
			return
		}
		p.all.Go(func() { p.sort(c) })
	}
}

// sort tells Raft's connections from those on which a node asks.
func (p *peers) sort(c net.Conn) {
	defer context.AfterFunc(p.ctx, func() { c.Close() })()
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		c.Close()
		return
	}
	if first[0] != asks {
		select {
		case p.ready <- &begun{Conn: c, first: first[:]}:
		case <-p.ctx.Done():
			c.Close()
		}
		return
	}
	defer c.Close()
	s, ok := c.(*session.Conn)
	if !ok || c.SetDeadline(time.Now().Add(patience)) != nil {
		return
	}
	r := &reply{}
	q := &question{}
	if err := readAsked(c, q); err != nil {
		r.Error = err.Error()
	} else {
		ctx, stop := context.WithTimeout(p.ctx, patience)
		defer stop()
		r = p.answer(ctx, s.Node(), q)
	}
	_ = writeAsked(c, r)
}

// patience is how long a node waits for another one's answer.
const patience = 10 * time.Second

// begun is a connection of which the first byte was read.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

func writeAsked(w io.Writer, v any) error {
	line := strict.EncodeLine(v)
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(line))), line...))
	return err
}

func readAsked(r io.Reader, v any) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n > maxAsk {
		return fmt.Errorf("a node asks or answers in %d bytes; %d are allowed", n, maxAsk)
	}
	line := make([]byte, n)
	if _, err := io.ReadFull(r, line); err != nil {
		return err
	}
	return strict.DecodeJSON("what a node says", bytes.TrimSpace(line), maxAsk, v)
}

// ask asks another node.
func (p *peers) ask(hsm string, q *question) (*reply, error) {
	c, err := p.Dial(raft.ServerAddress(hsm), patience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte{asks}); err != nil {
		return nil, err
	}
	r := &reply{}
	if err := errors.Join(writeAsked(c, q), readAsked(c, r)); err != nil {
		return nil, fmt.Errorf("node %s doesn't answer: %w", hsm, err)
	}
	return r, nil
}

// Dial is for Raft, to which an address is an HSM's name.
func (p *peers) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	at := p.at[string(address)]
	if at == "" {
		return nil, fmt.Errorf("the site file has no node %q", address)
	}
	return p.stream.Dial(raft.ServerAddress(at), timeout)
}

// Accept is for Raft.
func (p *peers) Accept() (net.Conn, error) {
	select {
	case c := <-p.ready:
		return c, nil
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Addr is for Raft.
func (p *peers) Addr() net.Addr { return p.stream.Addr() }

// Close ends the channel.
func (p *peers) Close() error {
	p.end()
	err := p.stream.Close()
	p.all.Wait()
	return err
}
