package nshield

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// hash is an nCore key hash, a SHA-1.
type hash [20]byte

var errShort = errors.New("it ends inside a value")

// reader reads nCore's encoding: little-endian words of 32 bits, and values made of
// them. After an error it gives zeros; end tells the first error.
type reader struct {
	in  []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) take(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.in)) {
		r.err = errShort
		return nil
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b
}

func (r *reader) word() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// count reads how many items follow: at most most.
func (r *reader) count(what string, most uint32) uint32 {
	n := r.word()
	if n > most {
		r.fail("%d %s; at most %d are read", n, what, most)
		return 0
	}
	return n
}

func (r *reader) hash() (h hash) {
	copy(h[:], r.take(uint32(len(h))))
	return h
}

// bignum reads a number, little-endian in whole words: at most 512 bytes.
func (r *reader) bignum() *big.Int {
	n := r.count("bytes of a number", 512)
	if n%4 != 0 {
		r.fail("a number of %d bytes, which isn't whole words", n)
	}
	be := bytes.Clone(r.take(n))
	for i, j := 0, len(be)-1; i < j; i, j = i+1, j-1 {
		be[i], be[j] = be[j], be[i]
	}
	return new(big.Int).SetBytes(be)
}

// text reads a string. Its length counts the zero byte that ends it; it is padded
// to a whole word.
func (r *reader) text() string {
	n := r.count("bytes of a string", 64)
	b := r.take(n)
	for _, pad := range r.take(-n & 3) {
		if pad != 0 {
			r.fail("a string is filled up with other bytes than zeros")
		}
	}
	s, ended := bytes.CutSuffix(b, []byte{0})
	if r.err == nil && (!ended || strict.CheckText(string(s), 64) != nil) {
		r.fail("a string without a zero at its end, or with other characters than printable ASCII")
	}
	return string(s)
}

// end gives the first error, or one if bytes are left.
func (r *reader) end(what string) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	if len(r.in) > 0 {
		return fmt.Errorf("%s: %d bytes follow its end", what, len(r.in))
	}
	return nil
}
