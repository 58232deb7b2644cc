// Package wire has every message between a device and a node of the reference fleet:
// what a device may ask once it has accepted the node, and how it is answered. Framing
// before that, in which the node shows its bundle, is the session's.
//
// A message is a frame: its kind in one byte, the length of its body in two, the body.
// Each kind has its fields in one order, each of a fixed or bounded length, and none is
// left out: a message has one encoding, and whatever else is there is refused before
// anything is made of it. No frame is longer than MaxFrame.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds, in bytes. A frame's body is read only after its length was found to be
// possible for its kind.
const (
	MaxAccount  = 64
	MaxEnvelope = 1024
	MaxText     = 512
	MaxFrame    = 3 + 6*(2+MaxText) + 64
)

// kind is a message's kind, the first byte of its frame.
type kind uint8

// The kinds. Odd ones are a device's, and the even one after each answers it; the last
// is a refusal.
const (
	kindRegisterStart  kind = 1
	kindRegisterAnswer kind = 2
	kindRegisterFinish kind = 3
	kindRegistered     kind = 4
	kindLoginStart     kind = 5
	kindLoginAnswer    kind = 6
	kindLoginFinish    kind = 7
	kindRecovered      kind = 8
	kindErase          kind = 9
	kindErased         kind = 10
	kindStatusRequest  kind = 11
	kindStatus         kind = 12
	kindRefusal        kind = 13
)

// Message is one of the messages of this package.
type Message interface {
	kind() kind
	fields() []field
}

// field is a part of a message: where its value is, and how long it may be.
type field struct {
	name        string
	fixed       []byte  // of just this length
	blob        *[]byte // of one byte up to most
	text        *string // of at most most bytes, printable ASCII
	empty       bool    // text: it may be empty
	most        int
	u32         *uint32
	u64         *uint64
	refusalCode *Code
}

func (f *field) size() (least, most int) {
	switch {
	case f.fixed != nil:
		return len(f.fixed), len(f.fixed)
	case f.blob != nil:
		return 3, 2 + f.most
	case f.text != nil && f.empty:
		return 2, 2 + f.most
	case f.text != nil:
		return 3, 2 + f.most
	case f.u32 != nil:
		return 4, 4
	case f.u64 != nil:
		return 8, 8
	}
	return 1, 1
}

// check says what is wrong with a field's value, before it is written and after it was
// read.
func (f *field) check() error {
	switch {
	case f.blob != nil && (len(*f.blob) == 0 || len(*f.blob) > f.most):
		return fmt.Errorf("the %s has %d bytes; it has 1 to %d", f.name, len(*f.blob), f.most)
	case f.text != nil && len(*f.text) > f.most:
		return fmt.Errorf("the %s has %d bytes, of at most %d", f.name, len(*f.text), f.most)
	case f.text != nil && *f.text == "" && !f.empty:
		return fmt.Errorf("the %s is empty", f.name)
	case f.refusalCode != nil && codes[*f.refusalCode] == "":
		return fmt.Errorf("there is no refusal with code %d", *f.refusalCode)
	}
	if f.text != nil {
		for _, c := range []byte(*f.text) {
			if c < ' ' || c > '~' {
				return fmt.Errorf("the %s has the byte %#02x, which is no printable ASCII", f.name, c)
			}
		}
	}
	return nil
}

// encode is a message's frame.
func encode(m Message) ([]byte, error) {
	var body []byte
	for _, f := range m.fields() {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%v: %w", m.kind(), err)
		}
		switch {
		case f.fixed != nil:
			body = append(body, f.fixed...)
		case f.blob != nil:
			body = append(binary.BigEndian.AppendUint16(body, uint16(len(*f.blob))), *f.blob...)
		case f.text != nil:
			body = append(binary.BigEndian.AppendUint16(body, uint16(len(*f.text))), *f.text...)
		case f.u32 != nil:
			body = binary.BigEndian.AppendUint32(body, *f.u32)
		case f.u64 != nil:
			body = binary.BigEndian.AppendUint64(body, *f.u64)
		case f.refusalCode != nil:
			body = append(body, byte(*f.refusalCode))
		}
	}
	return append(binary.BigEndian.AppendUint16([]byte{byte(m.kind())}, uint16(len(body))), body...), nil
}

// begun is an empty message of a kind, where a body of that length is possible for it.
func begun(k kind, length int) (Message, error) {
	make := messages[k]
	if make == nil {
		return nil, fmt.Errorf("there is no message of kind %d", k)
	}
	m := make()
	least, most := 0, 0
	for _, f := range m.fields() {
		l, n := f.size()
		least, most = least+l, most+n
	}
	if length < least || length > most {
		return nil, fmt.Errorf("%v: its body has %d bytes; it has %d to %d", k, length, least, most)
	}
	return m, nil
}

var errShort = errors.New("it ends in the middle")

// fill reads a message's body.
func fill(m Message, body []byte) error {
	take := func(n int) []byte {
		if n > len(body) {
			return nil
		}
		b := body[:n:n]
		body = body[n:]
		return b
	}
	for _, f := range m.fields() {
		n := 0
		switch {
		case f.fixed != nil:
			n = len(f.fixed)
		case f.u32 != nil:
			n = 4
		case f.u64 != nil:
			n = 8
		case f.refusalCode != nil:
			n = 1
		default:
			size := take(2)
			if size == nil {
				return errShort
			}
			n = int(binary.BigEndian.Uint16(size))
		}
		b := take(n)
		switch {
		case n > len(b):
			return errShort
		case f.fixed != nil:
			copy(f.fixed, b)
		case f.blob != nil:
			*f.blob = append([]byte(nil), b...)
		case f.text != nil:
			*f.text = string(b)
		case f.u32 != nil:
			*f.u32 = binary.BigEndian.Uint32(b)
		case f.u64 != nil:
			*f.u64 = binary.BigEndian.Uint64(b)
		case f.refusalCode != nil:
			*f.refusalCode = Code(b[0])
		}
		if err := f.check(); err != nil {
			return err
		}
	}
	if len(body) > 0 {
		return fmt.Errorf("%d bytes come after it", len(body))
	}
	return nil
}

// Parse reads a frame that is there as a whole.
func Parse(frame []byte) (Message, error) {
	if len(frame) < 3 || len(frame)-3 != int(binary.BigEndian.Uint16(frame[1:])) {
		return nil, fmt.Errorf("a frame of %d bytes doesn't have the length that it says", len(frame))
	}
	m, err := begun(kind(frame[0]), len(frame)-3)
	if err != nil {
		return nil, err
	}
	if err := fill(m, frame[3:]); err != nil {
		return nil, fmt.Errorf("%v: %w", m.kind(), err)
	}
	return m, nil
}

// Read reads one message. At the end of the stream, between two messages, it gives
// io.EOF alone; who waits is whoever sets the deadline.
func Read(r io.Reader) (Message, error) {
	frame := make([]byte, 3, 512)
	if _, err := io.ReadFull(r, frame); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	length := int(binary.BigEndian.Uint16(frame[1:]))
	if _, err := begun(kind(frame[0]), length); err != nil {
		return nil, err
	}
	frame = append(frame, make([]byte, length)...)
	if _, err := io.ReadFull(r, frame[3:]); err != nil {
		return nil, fmt.Errorf("reading a message's body of %d bytes: %w", length, err)
	}
	return Parse(frame)
}

// Write writes one message, in one call.
func Write(w io.Writer, m Message) error {
	frame, err := encode(m)
	if err != nil {
		return err
	}
	_, err = w.Write(frame)
	return err
}
