package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// wire reads a TPM's structures (TPM 2.0 Library, Part 2): integers in network order, and
// buffers after their length. It keeps the first error.
type wire struct {
	rest []byte
	err  error
}

var errShort = errors.New("it ends too early")

func (w *wire) take(n int) []byte {
	if w.err == nil && n > len(w.rest) {
		w.err = errShort
	}
	if w.err != nil {
		return nil
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wire) u8() uint8 {
	if b := w.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (w *wire) u16() uint16 {
	if b := w.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (w *wire) u32() uint32 {
	if b := w.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (w *wire) u64() uint64 {
	if b := w.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// buffer reads a TPM2B of at most so many bytes.
func (w *wire) buffer(what string, most int) []byte {
	n := int(w.u16())
	if w.err == nil && n > most {
		w.err = fmt.Errorf("%s of %d bytes; at most %d are taken", what, n, most)
	}
	return w.take(n)
}

// fail sets the error, unless there is one already.
func (w *wire) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// done returns the first error. Bytes that are left over are an error too.
func (w *wire) done(what string) error {
	if w.err == nil && len(w.rest) > 0 {
		w.err = fmt.Errorf("%d bytes behind its end", len(w.rest))
	}
	if w.err != nil {
		return fmt.Errorf("%s: %w", what, w.err)
	}
	return nil
}
