package evidence

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
)

// included verifies every proof of a leaf that was given, under the policy's log. It
// returns nil, and reports the problem, if one is wrong.
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

// further are the other proofs of a leaf, and the checkpoints that continue those of the
// proofs.
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

// isRequest tells a request to a witness (C2SP tlog-witness) from a proof.
func isRequest(data []byte) bool { return bytes.HasPrefix(data, []byte("old ")) }

func (v *verifier) spend(i int) {
	if v.spent == nil {
		v.spent = map[int]bool{}
	}
	v.spent[i] = true
}

// unspent refuses proofs that prove nothing of what is verified here, since the caller
// expects them to.
func (v *verifier) unspent() {
	for i, in := range v.proofs {
		if !v.spent[i] {
			v.problem(in.File, "leave it out, or give it with what it belongs to", "proves nothing of what is verified here, and continues the checkpoint of no proof of it")
		}
	}
}

// oneTree demands that checkpoints of one log and one size have the same root. Two with
// different roots, each signed by the log, prove that the log equivocates.
func (v *verifier) oneTree(where string, c *auditlog.Checkpoint) {
	for _, other := range v.trees {
		if text := twoTrees(other, c); text != "" {
			v.problem(where, "keep both: together they are the proof", "%s", text)
			return
		}
	}
	v.trees = append(v.trees, c)
}

// twoTrees says that two checkpoints prove that their log equivocates; empty if they don't.
func twoTrees(a, b *auditlog.Checkpoint) string {
	if a.Origin != b.Origin || a.Size != b.Size || a.Root == b.Root {
		return ""
	}
	return fmt.Sprintf("%s signed two trees of %d entries, %x… and %x…: the log equivocates", b.Origin, b.Size, a.Root[:8], b.Root[:8])
}

// ProofBeside is the path of the proof that a package's leaf is logged.
func ProofBeside(archive string) string { return strings.TrimSuffix(archive, ".tar") + ".tlog-proof" }

// MaxProofs is how many proofs may lie beside a file.
const MaxProofs = 32

// ProofNumber is the path of a file's nth proof: log prove --refresh writes a new one
// beside the older ones.
func ProofNumber(base string, n int) string {
	if n == 1 {
		return base
	}
	return fmt.Sprintf("%s-%d", base, n)
}
