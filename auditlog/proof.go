package auditlog

import (
	"encoding/base64"
	"fmt"
	"math/bits"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const proofHeader = "c2sp.org/tlog-proof@v1"

// maxHashes is how many hashes a proof may have: as many as a tree of 2^63
// entries needs.
const maxHashes = 63

// Proof is a claim that a leaf is in a log (C2SP tlog-proof), as read. Nothing of
// it is verified: that is for [Policy.Verify].
type Proof struct {
	Index      uint64     // of the leaf, counted from 0
	Hashes     [][32]byte // RFC 6962 audit path, section 2.1.1: the leaf's sibling first
	Checkpoint *Checkpoint

	file string
}

// ParseProof reads a proof. It checks, before anything is hashed, that the proof
// has exactly as many hashes as its index and tree size need.
func ParseProof(file string, data []byte) (*Proof, error) {
	l, err := newLines(file, data)
	if err != nil {
		return nil, err
	}
	l.Literal(proofHeader)
	if line, _ := l.Peek(); strings.HasPrefix(line, "extra ") {
		l.Next()
		l.Failf("has an extra line, which nothing authenticates")
	}
	p := &Proof{file: file, Index: l.Uint("index ")}
	for {
		if line, ok := l.Peek(); !ok || line == "" {
			break
		}
		if len(p.Hashes) == maxHashes {
			l.Next()
			l.Failf("has more than %d hashes", maxHashes)
			break
		}
		p.Hashes = append(p.Hashes, readHash(l))
	}
	l.Literal("")
	p.Checkpoint = readCheckpoint(l, file)
	if err := l.Done(); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// Marshal writes the proof: byte for byte as [ParseProof] read it.
func (p *Proof) Marshal() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nindex %d\n", proofHeader, p.Index)
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint.Marshal())
	return []byte(b.String())
}

// check says whether index, number of hashes and tree size fit together.
func (p *Proof) check() error {
	if p.Checkpoint == nil {
		return strict.Errorf(p.file, "the proof has no checkpoint")
	}
	size := p.Checkpoint.Size
	if p.Index >= size {
		return strict.Errorf(p.file, "the index is %d, the tree has only %d entries", p.Index, size)
	}
	if want := pathLength(p.Index, size); len(p.Hashes) != want {
		return strict.Errorf(p.file, "has %d hashes, entry %d of %d has %d", len(p.Hashes), p.Index, size, want)
	}
	return nil
}

// pathLength is the length of the audit path of entry index in a tree of size
// entries: up to where the paths of this and the last entry meet, one hash a
// level; above it, one for every full subtree on the left.
func pathLength(index, size uint64) int {
	inner := bits.Len64(index ^ (size - 1))
	return inner + bits.OnesCount64(index>>inner)
}
