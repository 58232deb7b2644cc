package guess

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// walker goes over the fields of a command or a snapshot. has is whether there is
// such a field at all.
type walker interface {
	account(name *string, has bool)
	fixed(b []byte, has bool)
	u64(n *uint64, has bool)
	u32(n *uint32, has bool)
	bytes(b *[]byte, most int, has bool)
}

type writer struct{ out []byte }

func (w *writer) account(name *string, has bool) {
	if has {
		w.out = append(append(w.out, byte(len(*name))), *name...)
	}
}

func (w *writer) fixed(b []byte, has bool) {
	if has {
		w.out = append(w.out, b...)
	}
}

func (w *writer) u64(n *uint64, has bool) {
	if has {
		w.out = binary.BigEndian.AppendUint64(w.out, *n)
	}
}

func (w *writer) u32(n *uint32, has bool) {
	if has {
		w.out = binary.BigEndian.AppendUint32(w.out, *n)
	}
}

func (w *writer) bytes(b *[]byte, _ int, has bool) {
	if has {
		w.out = append(binary.BigEndian.AppendUint16(w.out, uint16(len(*b))), *b...)
	}
}

var errShort = errors.New("it ends within a field")

// reader stops at the first fault.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) account(name *string, has bool) {
	if has {
		if n := r.take(1); n != nil {
			*name = string(r.take(int(n[0])))
		}
	}
}

func (r *reader) fixed(b []byte, has bool) {
	if has {
		copy(b, r.take(len(b)))
	}
}

func (r *reader) u64(n *uint64, has bool) {
	if has {
		if b := r.take(8); b != nil {
			*n = binary.BigEndian.Uint64(b)
		}
	}
}

func (r *reader) u32(n *uint32, has bool) {
	if has {
		if b := r.take(4); b != nil {
			*n = binary.BigEndian.Uint32(b)
		}
	}
}

func (r *reader) bytes(b *[]byte, most int, has bool) {
	if !has {
		return
	}
	size := r.take(2)
	if size == nil {
		return
	}
	n := int(binary.BigEndian.Uint16(size))
	if n > most {
		r.err = fmt.Errorf("a field of %d bytes, of at most %d", n, most)
		return
	}
	*b = append([]byte(nil), r.take(n)...)
}

// end says what was wrong, or that something is left.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%d bytes more than it has", len(r.rest))
	}
	return r.err
}
