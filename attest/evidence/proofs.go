package evidence

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
)

// included judges every proof that was given of a leaf under the policy's log,
// as of now. Nil where one is wrong, which is said.
func (v *verifier) included(where string, leaf, proof []byte) *auditlog.Inclusion {
	p, err := auditlog.ParseProof(where, proof)
	if err != nil {
		v.fault(where, err)
		return nil
	}
	proofs, later, ok := v.further(leaf, p)
	if !ok {
		return nil
	}
	in, err := v.policy.Log.VerifyAt(leaf, v.now, proofs, later...)
	if err != nil {
		v.fault(where, err)
		return nil
	}
	for _, p := range proofs {
		v.oneTree(where, p.Checkpoint)
	}
	for _, r := range later {
		v.oneTree(where, r.Checkpoint)
	}
	return in
}

// further are the other proofs of a leaf, and the checkpoints that continue
// one of them.
func (v *verifier) further(leaf []byte, first *auditlog.Proof) (proofs []*auditlog.Proof, later []*auditlog.Request, ok bool) {
	proofs, ok = []*auditlog.Proof{first}, true
	for i, in := range v.proofs {
		if isRequest(in.Data) {
			continue
		}
		p, err := auditlog.ParseProof(in.File, in.Data)
		if err != nil {
			v.fault(in.File, err)
			v.spend(i)
			ok = false
		} else if p.Proves(leaf) {
			proofs = append(proofs, p)
			v.spend(i)
		}
	}
	for i, in := range v.proofs {
		if !isRequest(in.Data) {
			continue
		}
		r, err := auditlog.ParseRequest(in.File, in.Data)
		if err != nil {
			v.fault(in.File, err)
			v.spend(i)
			ok = false
			continue
		}
		for _, p := range proofs {
			if c := p.Checkpoint; c.Size == r.Old && c.Origin == r.Checkpoint.Origin && r.Verify(c.Root) == nil {
				later = append(later, r)
				v.spend(i)
				break
			}
		}
	}
	return proofs, later, ok
}

// isRequest tells a witness's request from a proof.
func isRequest(data []byte) bool { return bytes.HasPrefix(data, []byte("old ")) }

func (v *verifier) spend(i int) {
	if v.spent == nil {
		v.spent = map[int]bool{}
	}
	v.spent[i] = true
}

// unspent refuses proofs that prove nothing that is judged here: whoever gave
// them believes that they do.
func (v *verifier) unspent() {
	for i, in := range v.proofs {
		if !v.spent[i] {
			v.problem(in.File, "leave it out, or give it with what it belongs to", "proves nothing of what is verified here, and continues the checkpoint of no proof of it")
		}
	}
}

// oneTree demands that all checkpoints of a log that are given here can be of one
// tree: of one size there is one root. Two of them, each signed by the log, prove
// that it shows one tree to some and another to others.
func (v *verifier) oneTree(where string, c *auditlog.Checkpoint) {
	for _, other := range v.trees {
		if other.Origin == c.Origin && other.Size == c.Size && other.Root != c.Root {
			v.problem(where, "keep both: together they are the proof", "%s signed two trees of %d entries, %x… and %x…: the log equivocates",
				c.Origin, c.Size, other.Root[:8], c.Root[:8])
			return
		}
	}
	v.trees = append(v.trees, c)
}

// ProofBeside is where the log proof of a package's identity lies.
func ProofBeside(archive string) string { return strings.TrimSuffix(archive, ".tar") + ".tlog-proof" }

// MaxProofs bounds the proofs that are looked for beside a file.
const MaxProofs = 32

// ProofNumber names the proofs of one file: log prove --refresh writes a new one
// beside the older ones.
func ProofNumber(base string, n int) string {
	if n == 1 {
		return base
	}
	return fmt.Sprintf("%s-%d", base, n)
}
