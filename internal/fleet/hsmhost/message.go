package hsmhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// What a node asks of its HSM.
const (
	opAbout  = 1 + iota // what it is: said to each node that connects
	opSign              // by the key of an SPKI, over a message
	opAgree             // by the key of an SPKI, with a peer
	opRead              // the anchor
	opWrite             // the anchor
	opRemove            // the anchor
	lastOp   = opRemove
)

// The answers.
const (
	answerDone = iota
	answerFailed
	answerNone  // there is no anchor
	answerUnfit // the HSM keeps none
	lastAnswer  = answerUnfit
)

const (
	maxKey     = 4 << 10
	maxPayload = 64 << 10
	maxMessage = 1 + 2 + maxKey + maxPayload
)

// question is a frame from a node: operation, length of the key as uint16, key, payload.
type question struct {
	op           byte
	key, payload []byte
}

func (q *question) encode() ([]byte, error) {
	if len(q.key) > maxKey || len(q.payload) > maxPayload {
		return nil, fmt.Errorf("the HSM is given a key of %d bytes and %d bytes more; at most %d and %d are taken", len(q.key), len(q.payload), maxKey, maxPayload)
	}
	b := binary.BigEndian.AppendUint16([]byte{q.op}, uint16(len(q.key)))
	return append(append(b, q.key...), q.payload...), nil
}

func parseQuestion(b []byte) (*question, error) {
	if len(b) < 3 || b[0] < opAbout || b[0] > lastOp {
		return nil, errors.New("a node asks what this HSM's process doesn't know: both are to be of one version")
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > maxKey || n > len(b)-3 || len(b)-3-n > maxPayload {
		return nil, errors.New("a node's question is not of the size that it says")
	}
	return &question{b[0], b[3 : 3+n], b[3+n:]}, nil
}

// answer is a frame to a node: a code, then what was asked for or what went wrong.
type answer struct {
	code    byte
	payload []byte
}

func (a *answer) encode() []byte {
	return append([]byte{a.code}, a.payload[:min(len(a.payload), maxPayload)]...)
}

func parseAnswer(b []byte) (*answer, error) {
	if len(b) == 0 || b[0] > lastAnswer || len(b)-1 > maxPayload {
		return nil, errors.New("the HSM's process answers in another form than is known: both are to be of one version")
	}
	return &answer{b[0], b[1:]}, nil
}

// send writes a frame: its length as uint32, and it.
func send(w io.Writer, body []byte) error {
	if len(body) > maxMessage || len(body) > math.MaxUint32 {
		return fmt.Errorf("a frame of %d bytes; at most %d are written", len(body), maxMessage)
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// receive reads a frame of at most so many bytes.
func receive(r io.Reader, most uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return nil, fmt.Errorf("a frame says that it has %d bytes; at most %d are read", n, most)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("a frame ends early: %w", err)
	}
	return body, nil
}
