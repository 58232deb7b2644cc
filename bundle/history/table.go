package history

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
)

// maxNames bounds namespaces and keys: an entry has 16 bits for each.
const maxNames = 1 << 12

// recorded marks a ref of the record of earlier runs.
const recorded = 1 << 63

// entry is a verified statement in as few bytes as will do: there may be a
// million. The rest of it is read again where it is needed.
type entry struct {
	epoch, time uint64
	ref         uint64
	digest      [32]byte
	sig         [8]byte // the signature's last but 8 bytes: tells two signatures apart
	ns, key     uint16
	suite       uint8
	operator    bool // the operator's copy
	late        bool // outside its key's window by now
	seen        bool // of a recorded one: this run has met it
}

func entryOf(s *bundle.Statement, ref uint64, ns, key uint16) entry {
	return entry{
		epoch: s.Epoch, time: s.Timestamp, ref: ref, digest: s.Digest, sig: [8]byte(s.Signature[48:56]),
		ns: ns, key: key, suite: uint8(s.Ciphersuite),
	}
}

// same says that two statements are one and the same.
func (e *entry) same(o *entry) bool {
	return e.epoch == o.epoch && e.time == o.time && e.digest == o.digest && e.sig == o.sig && e.suite == o.suite
}

const chunk = 1 << 13

// table grows without copying: with a million entries a copy is what the
// memory can't take.
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

// find looks for the entries of a place among sorted ones.
func (t *table) find(order []uint32, want *entry) []uint32 {
	from, _ := slices.BinarySearchFunc(order, want, func(i uint32, w *entry) int { return place(t.at(i), w) })
	to := from
	for to < len(order) && place(t.at(order[to]), want) == 0 {
		to++
	}
	return order[from:to]
}

// artifact is one that was published.
type artifact struct {
	epoch    uint64
	ref      uint64
	digest   [32]byte
	previous [32]byte
	ns       uint16
	inBundle bool
	opaque   bool   // of a format that isn't public: its digest is all there is
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
	witnessed int64 // seconds; 0 where no quorum is shown
}
