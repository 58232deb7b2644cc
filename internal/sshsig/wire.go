package sshsig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// The SSH wire format (RFC 4251, section 5) is read by hand: x/crypto/ssh
// brings a network client along, which has no place where others' signatures
// are judged, and it takes more than one spelling of a number or a point.

// maxText is far above any type, namespace or FIDO2 application in use.
const maxText = 255

// reader takes fields off a blob. Its first fault stays; what is read after it
// is empty.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) failf(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) take(n uint64, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.rest)) {
		r.failf("ends within its %s", what)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// string shares the blob's memory.
func (r *reader) string(what string) []byte {
	return r.take(uint64(r.uint32(what)), what)
}

func (r *reader) text(what string) string {
	s := string(r.string(what))
	if r.err != nil {
		return ""
	}
	if err := checkText(s); err != nil {
		r.failf("has an unfit %s, which %w", what, err)
		return ""
	}
	return s
}

// checkText says whether s may be a name. OpenSSH cuts names at a zero byte or
// refuses them, and control characters would speak to a person's terminal.
func checkText(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	if len(s) > maxText {
		return fmt.Errorf("is longer than %d bytes", maxText)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("has the byte %#02x; printable ASCII is allowed", s[i])
		}
	}
	return nil
}

// mpint is a number above zero in its one spelling: no leading zero byte
// unless without it the number would read as negative.
func (r *reader) mpint(what string) *big.Int {
	b := r.string(what)
	switch {
	case r.err != nil:
	case len(b) == 0:
		r.failf("has zero as its %s", what)
	case b[0]&0x80 != 0:
		r.failf("has a negative number as its %s", what)
	case b[0] == 0 && (len(b) == 1 || b[1]&0x80 == 0):
		r.failf("has a needless zero byte before its %s", what)
	}
	return new(big.Int).SetBytes(b)
}

// done is the first fault met; bytes left over are one.
func (r *reader) done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.failf("has %d bytes too many", len(r.rest))
	}
	return r.err
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
