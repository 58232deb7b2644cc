package session

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Answer is what a node says first: the fleet's bundle, and the proof that it is
// logged.
type Answer struct{ Bundle, Proof []byte }

const (
	maxProof  = 64 << 10
	maxNode   = 128
	maxAnswer = 1 + maxNode + 4 + bundle.MaxBundle + 4 + maxProof + 1
)

// greeting is the first frame, before which the device says nothing:
//
//	length   uint32, of what follows
//	node     uint8 length, name
//	bundle   uint32 length, bytes
//	proof    uint32 length, bytes
//	more     uint8, how many signatures of this connection follow, each a frame of
//	         its own: 1 where the bundle demands it, else 0
type greeting struct {
	node string
	Answer
	signs bool
}

func (g *greeting) encode() ([]byte, error) {
	switch {
	case strict.CheckToken(g.node) != nil || len(g.node) > maxNode:
		return nil, fmt.Errorf("%.140q is no name of a node", g.node)
	case len(g.Bundle) == 0 || len(g.Bundle) > bundle.MaxBundle:
		return nil, fmt.Errorf("the bundle has %d bytes; 1 to %d are allowed", len(g.Bundle), bundle.MaxBundle)
	case len(g.Proof) == 0 || len(g.Proof) > maxProof:
		return nil, fmt.Errorf("the proof has %d bytes; 1 to %d are allowed", len(g.Proof), maxProof)
	}
	b := append([]byte{byte(len(g.node))}, g.node...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(g.Bundle))), g.Bundle...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(g.Proof))), g.Proof...)
	if g.signs {
		return framed(append(b, 1)), nil
	}
	return framed(append(b, 0)), nil
}

// framed is a frame: its length, as uint32, before it.
func framed(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
}

// readGreeting reads the first frame, and nothing after it.
func readGreeting(r io.Reader) (*greeting, error) {
	body, err := readFrame(r, maxAnswer)
	if err != nil {
		return nil, err
	}
	return parseGreeting(body)
}

// readFrame reads a frame of at most so many bytes, one of those before anything else is
// said.
func readFrame(r io.Reader, most uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("the node's frame doesn't come: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return nil, refuse(ReasonAnswer, "the node's frame says that it has %d bytes; at most %d are read", n, most)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("the node's frame ends early: %w", err)
	}
	return body, nil
}

func parseGreeting(b []byte) (*greeting, error) {
	take := func(n int) (part []byte, ok bool) {
		if len(b) < n {
			return nil, false
		}
		part, b = b[:n], b[n:]
		return part, true
	}
	sized := func(what string, most int) ([]byte, error) {
		head, ok := take(4)
		if !ok {
			return nil, refuse(ReasonAnswer, "the node's first frame ends where the length of its %s should be", what)
		}
		n := binary.BigEndian.Uint32(head)
		if n == 0 || n > uint32(most) {
			return nil, refuse(ReasonAnswer, "the node's first frame has a %s of %d bytes; 1 to %d are allowed", what, n, most)
		}
		part, ok := take(int(n))
		if !ok {
			return nil, refuse(ReasonAnswer, "the node's first frame ends inside its %s", what)
		}
		return part, nil
	}
	head, ok := take(1)
	if !ok {
		return nil, refuse(ReasonAnswer, "the node's first frame is empty")
	}
	name, ok := take(int(head[0]))
	if !ok || head[0] > maxNode {
		return nil, refuse(ReasonAnswer, "the node's first frame has a name of %d bytes; at most %d are allowed, and they must be there", head[0], maxNode)
	}
	g := &greeting{node: string(name)}
	if err := strict.CheckToken(g.node); err != nil {
		return nil, refuse(ReasonAnswer, "the node's name %w", err)
	}
	var err error
	if g.Bundle, err = sized("bundle", bundle.MaxBundle); err != nil {
		return nil, err
	}
	if g.Proof, err = sized("proof", maxProof); err != nil {
		return nil, err
	}
	more, ok := take(1)
	switch {
	case !ok:
		return nil, refuse(ReasonAnswer, "the node's first frame ends where the number of signatures should be")
	case more[0] > 1:
		return nil, refuse(ReasonAnswer, "the node signs the session %d times, of which this version can check one: use a newer fleetctl", more[0])
	case len(b) != 0:
		return nil, refuse(ReasonAnswer, "the node's first frame has %d bytes too many", len(b))
	}
	g.signs = more[0] == 1
	return g, nil
}
