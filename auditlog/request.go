package auditlog

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Request asks a witness to cosign a checkpoint: the body of add-checkpoint
// (C2SP tlog-witness), sent or carried on a stick.
type Request struct {
	Old        uint64     // size of the tree that the witness has cosigned last; 0 for none
	Hashes     [][32]byte // consistency proof from Old to the checkpoint
	Checkpoint *Checkpoint

	file string
}

// ParseRequest reads a request. It doesn't verify the proof: that is for
// [Request.Verify].
func ParseRequest(file string, data []byte) (*Request, error) {
	l, err := newLines(file, data)
	if err != nil {
		return nil, err
	}
	r := &Request{file: file, Old: l.Uint("old ")}
	for {
		if line, ok := l.Peek(); !ok || line == "" {
			break
		}
		if len(r.Hashes) == maxHashes {
			l.Next()
			l.Failf("has more than %d hashes", maxHashes)
			break
		}
		r.Hashes = append(r.Hashes, readHash(l))
	}
	l.Literal("")
	r.Checkpoint = readCheckpoint(l, file)
	if err := l.Done(); err != nil {
		return nil, err
	}
	return r, nil
}

// Marshal writes the request: byte for byte as [ParseRequest] read it.
func (r *Request) Marshal() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.Write(r.Checkpoint.Marshal())
	return []byte(b.String())
}

// Verify checks that the checkpoint continues the tree of size Old, whose root
// the witness knows. Every tree continues the empty tree, without proof.
func (r *Request) Verify(root [32]byte) error {
	c := r.Checkpoint
	if r.Old == 0 && len(r.Hashes) > 0 {
		return strict.Errorf(r.file, "has %d hashes where the older tree is empty and there is nothing to prove", len(r.Hashes))
	}
	return VerifyConsistency(&Checkpoint{Origin: c.Origin, Size: r.Old, Root: root}, c, r.Hashes)
}

// ParseSignatures reads the signature lines with which a witness answers.
func ParseSignatures(file string, data []byte) ([]Signature, error) {
	l, err := newLines(file, data)
	if err != nil {
		return nil, err
	}
	list := readSignatures(l)
	if err := l.Done(); err != nil {
		return nil, err
	}
	return list, nil
}

// With is the checkpoint with more signatures. A new signature replaces the older
// one of the same key, so that a cosignature is renewed and never doubled.
func (c *Checkpoint) With(list ...Signature) *Checkpoint {
	more := *c
	more.Signatures = slices.Clone(c.Signatures)
	for _, s := range list {
		if i := more.signedBy(s.Name, s.KeyHash); i >= 0 {
			more.Signatures[i] = s
		} else {
			more.Signatures = append(more.Signatures, s)
		}
	}
	return &more
}

// SignedBy is the signature line that names the key v. Nothing of it is verified.
func (c *Checkpoint) SignedBy(v *Verifier) (Signature, bool) {
	if i := c.signedBy(v.name, v.hash); i >= 0 {
		return c.Signatures[i], true
	}
	return Signature{}, false
}

func (c *Checkpoint) signedBy(name string, hash uint32) int {
	return slices.IndexFunc(c.Signatures, func(s Signature) bool { return s.Name == name && s.KeyHash == hash })
}
