//go:build unix

package tiled

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// damaged is the error that the index isn't as it was written. The index is a
// cache: whoever gets this error makes it again.
type damaged struct{ error }

func isDamaged(err error) bool {
	var d *damaged
	return errors.As(err, &d)
}

// runFile is a run that is open for reading.
type runFile struct {
	name    string
	file    io.ReaderAt
	stack   []step   // from the top page down, to where the last lookup went
	buffers [][]byte // of the stack's pages
}

// step is a page on the way down, and its record that was followed.
type step struct {
	page
	at int
}

func openRun(path string, pages uint64, top [32]byte) (*runFile, error) {
	f, err := durable.Open(path)
	if err != nil {
		return nil, &damaged{err}
	}
	r, err := newRunFile(path, f, pages, top)
	if err != nil {
		f.Close()
	}
	return r, err
}

func newRunFile(name string, file io.ReaderAt, pages uint64, top [32]byte) (*runFile, error) {
	r := &runFile{name: name, file: file}
	return r, r.push(pages-1, top[:])
}

// again opens the same run for another goroutine.
func (r *runFile) again() *runFile {
	return &runFile{r.name, r.file, []step{{r.stack[0].page, -1}}, [][]byte{nil}}
}

func (r *runFile) close() {
	if f, ok := r.file.(io.Closer); ok {
		f.Close()
	}
}

// push reads a page onto the stack.
func (r *runFile) push(number uint64, want []byte) error {
	depth := len(r.stack)
	if len(r.buffers) == depth {
		r.buffers = append(r.buffers, make([]byte, pageSize))
	}
	p, err := r.read(r.buffers[depth], number, want)
	if err != nil {
		return err
	}
	r.stack = append(r.stack, step{p, -1})
	return nil
}

// read gives a page if it has that SHA-256.
func (r *runFile) read(data []byte, number uint64, want []byte) (page, error) {
	if number > 1<<40 {
		return nil, &damaged{fmt.Errorf("%s: has no page %d", r.name, number)}
	}
	n, err := r.file.ReadAt(data, int64(number)*pageSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &damaged{err}
	}
	p, err := parsePage(data[:n])
	if err != nil {
		return nil, &damaged{fmt.Errorf("%s: page %d: %w", r.name, number, err)}
	}
	if sum := sha256.Sum256(p); !bytes.Equal(sum[:], want) {
		return nil, &damaged{fmt.Errorf("%s: page %d is not the one that was written", r.name, number)}
	}
	return p, nil
}

// below gives the number and the SHA-256 of the page that a record of an inner page
// names.
func (p page) below(at int) (number uint64, sum []byte) {
	_, rest := p.record(at)
	return binary.BigEndian.Uint64(rest[32:]), rest[:32]
}

// find looks for a key. A series of lookups reads each page once if they come in
// the order of their keys.
func (r *runFile) find(key *[32]byte) (entry uint64, found bool, err error) {
	for depth := 0; ; depth++ {
		s := &r.stack[depth]
		at := s.upTo(key) - 1
		if at < 0 {
			return 0, false, nil
		}
		if s.height() == 0 {
			k, rest := s.record(at)
			return binary.BigEndian.Uint64(rest), bytes.Equal(k, key[:]), nil
		}
		if s.at == at {
			continue // the page below is on the stack already
		}
		s.at, r.stack = -1, r.stack[:depth+1]
		if err := r.push(s.below(at)); err != nil {
			return 0, false, err
		}
		r.stack[depth].at = at
	}
}

// walk gives the lowest pages under a page from left to right.
func (r *runFile) walk(p page, yield func(page, error) bool) bool {
	if p.height() == 0 {
		return yield(p, nil)
	}
	for i := range p.len() {
		number, sum := p.below(i)
		b, err := r.read(make([]byte, pageSize), number, sum)
		if err != nil {
			yield(nil, err)
			return false
		}
		if !r.walk(b, yield) {
			return false
		}
	}
	return true
}

// source gives sorted records one after the other: those of a list, then those
// of a run's pages.
type source struct {
	record
	list []record
	next func() (page, error, bool) // nil for none
	done bool
}

func (s *source) advance() error {
	for len(s.list) == 0 {
		if s.next == nil {
			s.done = true
			return nil
		}
		p, err, more := s.next()
		if err != nil || !more {
			s.done = true
			return err
		}
		for i := range p.len() {
			k, rest := p.record(i)
			s.list = append(s.list, record{[32]byte(k), binary.BigEndian.Uint64(rest)})
		}
	}
	s.record, s.list = s.list[0], s.list[1:]
	return nil
}

// merge gives the records of several runs, and of a sorted list, in their order.
func merge(runs []*runFile, fresh []record, take func(record) error) error {
	list := []*source{{list: fresh}}
	for _, r := range runs {
		next, stop := iter.Pull2(func(yield func(page, error) bool) { r.walk(r.stack[0].page, yield) })
		defer stop()
		list = append(list, &source{next: next})
	}
	for _, s := range list {
		if err := s.advance(); err != nil {
			return err
		}
	}
	list = slices.DeleteFunc(list, func(s *source) bool { return s.done })
	for len(list) > 0 {
		least := list[0]
		for _, s := range list[1:] {
			if compareRecords(s.record, least.record) < 0 {
				least = s
			}
		}
		if err := take(least.record); err != nil {
			return err
		}
		if err := least.advance(); err != nil {
			return err
		}
		if least.done {
			list = slices.DeleteFunc(list, func(s *source) bool { return s.done })
		}
	}
	return nil
}
