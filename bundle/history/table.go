package history

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
)

// maxNames bounds the numbers of namespaces and of keys; an entry has 16 bits for
// each.
const maxNames = 1 << 12

// recorded is the bit that marks a ref into the record of earlier runs.
const recorded = 1 << 63

// entry is a verified statement in few bytes, because there may be a million. What
// is left out is read again when it is needed.
type entry struct {
	epoch, time uint64
	ref         uint64
	digest      [32]byte
	sig         [8]byte // 8 bytes of the signature, which tell two signatures apart
	ns, key     uint16
	suite       uint8
	operator    bool // the operator's copy
	added       bool // a post-quantum signature of the same party is beside it and counts
	late        bool // now outside its key's window
	seen        bool // of a recorded statement: this run has found it again
}

func entryOf(s *bundle.Statement, ref uint64, ns, key uint16) entry {
	return entry{
		epoch: s.Epoch, time: s.Timestamp, ref: ref, digest: s.Digest, sig: [8]byte(s.Signature[48:56]),
		ns: ns, key: key, suite: uint8(s.Ciphersuite),
	}
}

// same says whether two entries are the same statement.
func (e *entry) same(o *entry) bool {
	return e.epoch == o.epoch && e.time == o.time && e.digest == o.digest && e.sig == o.sig && e.suite == o.suite
}

const chunk = 1 << 13

// table grows without copying: a copy of a million entries would need too much
// memory.
type table struct{ chunks [][]entry }

func (t *table) add(e entry) {
	if n := len(t.chunks); n == 0 || len(t.chunks[n-1]) == chunk {
		t.chunks = append(t.chunks, make([]entry, 0, chunk))
	}
	last := &t.chunks[len(t.chunks)-1]
	*last = append(*last, e)
}

func (t *table) len() int {
	n := len(t.chunks)
	if n == 0 {
		return 0
	}
	return (n-1)*chunk + len(t.chunks[n-1])
}

func (t *table) at(i uint32) *entry { return &t.chunks[i/chunk][i%chunk] }

// order sorts by namespace, epoch and key; a recorded entry comes before a new
// one, the third party's before the operator's copy.
func (t *table) order() []uint32 {
	list := make([]uint32, t.len())
	for i := range list {
		list[i] = uint32(i)
	}
	slices.SortFunc(list, func(i, j uint32) int { return compare(t.at(i), t.at(j)) })
	return list
}

func place(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.key, b.key))
}

func compare(a, b *entry) int {
	return cmp.Or(place(a, b), cmp.Compare(rank(a), rank(b)), cmp.Compare(a.time, b.time), bytes.Compare(a.digest[:], b.digest[:]), cmp.Compare(a.ref, b.ref))
}

func rank(e *entry) int {
	switch {
	case e.ref&recorded != 0:
		return 0
	case !e.operator:
		return 1
	}
	return 2
}

// find gives the entries with the namespace, epoch and key of want, from a sorted
// order.
func (t *table) find(order []uint32, want *entry) []uint32 {
	from, _ := slices.BinarySearchFunc(order, want, func(i uint32, w *entry) int { return place(t.at(i), w) })
	to := from
	for to < len(order) && place(t.at(order[to]), want) == 0 {
		to++
	}
	return order[from:to]
}

// artifact is a published artifact.
type artifact struct {
	epoch    uint64
	ref      uint64
	digest   [32]byte
	previous [32]byte
	ns       uint16
	inBundle bool
	opaque   bool   // of a format that isn't public: only its digest is known
	void     bool   // says that the epoch before it was abandoned
	retired  bool   // ends its fleet
	fleet    string // interned by the few fleets there are
}

// published is a bundle with what was found about it.
type published struct {
	epoch     uint64
	ref       uint64
	digest    [32]byte
	ns        uint16
	signers   int
	counter   bool // countersigned by a pinned operator
	logged    bool
	witnessed int64 // seconds since the Unix epoch; 0 if no quorum is shown
}
