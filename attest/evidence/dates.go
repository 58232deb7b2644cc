package evidence

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// A time in a signed text proves nothing, since the signer chooses it. But a signature is
// not younger than the time at which independent witnesses had seen something that
// commits to it. The bundle's log entry commits to the files that the
// countersignature's record lists, the evidence's entry to all others. If no witness has
// seen a signature, only the verifier's own time is known.

// seenBy is the time by which witnesses had seen a file of people's signatures; nil if
// they have not.
func (v *verifier) seenBy(file string, listed map[string][32]byte) *time.Time {
	if _, ok := listed[file]; ok && v.witnessed != nil && (v.closed == nil || v.witnessed.Before(*v.closed)) {
		return v.witnessed
	}
	return v.closed
}

// uncounted is a signature by a pinned person that doesn't count, and why.
type uncounted struct{ file, why string }

// counting are the pinned people, with only those of their signatures for which the key's
// window covers the verifier's time, or the time by which witnesses had seen it.
func (v *verifier) counting(a *ceremony.Account) (*ceremony.People, error) {
	everyone, err := v.policy.everyone()
	if err != nil {
		return nil, err
	}
	windows := map[string]keys.Window{}
	for _, x := range v.policy.people {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return nil, err
		}
		windows[k.Fingerprint()] = keys.Window(x.Window)
	}
	listed := a.Dated()
	return everyone.Counting(func(k *sshsig.Key, file string) bool {
		if by := a.Afterwards(file); by != "" {
			v.uncount(file, fmt.Sprintf("the %s's record does not list it, and what leads to that is signed before", by))
			return false
		}
		seen := v.seenBy(file, listed)
		if windows[k.Fingerprint()].Counts(v.now, seen) {
			return true
		}
		name, _, _ := everyone.RoleOf(k)
		when := "no witness says when it was made, and now is outside its key's window"
		if seen != nil {
			when = fmt.Sprintf("witnesses had it by %s at the latest, and neither that nor now is inside its key's window", strict.FormatTime(*seen))
		}
		v.uncount(file, name+"'s: "+when)
		return false
	}), nil
}

func (v *verifier) uncount(file, why string) {
	for _, u := range v.ignored {
		if u.file == file {
			return
		}
	}
	v.ignored = append(v.ignored, uncounted{file, why})
}

// notCounted says why the first of a folder's uncounted signatures doesn't count, and how
// many more there are.
func (v *verifier) notCounted(dir string) string {
	n, first := 0, uncounted{}
	for _, u := range v.ignored {
		if strings.HasPrefix(u.file, dir+"/") {
			if n++; n == 1 {
				first = u
			}
		}
	}
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("; not counted: %s, %s", first.file, first.why)
	if n > 1 {
		text += fmt.Sprintf("; and %d more", n-1)
	}
	return text
}

// atTheLatest says by when witnesses had seen what people signed before the bundle was
// made; empty if they have not.
func (v *verifier) atTheLatest() string {
	if v.witnessed == nil {
		return ""
	}
	return ", by " + strict.FormatTime(*v.witnessed) + " at the latest"
}

// times refuses records that are dated after the verifier's time, or after the time by
// which witnesses had seen what follows from them. Clocks may differ by
// [keys.ClockTolerance].
func (v *verifier) times(a *ceremony.Account) {
	v.notAfter(recordOf(a.N), "was recorded", a.Time, v.now, "the time it is judged at")
	if a.Counter != nil && v.witnessed != nil {
		v.notAfter(recordOf(a.CounterHead.N), "was recorded", a.CounterTime, *v.witnessed, "the time by which witnesses had seen the bundle that came of it")
	}
	if a.LogProof != nil && v.newest != nil {
		v.notAfter(recordOf(a.LogProofN), "has a proof that was cosigned", *v.newest, a.LogProofTime, "the time of the record")
	}
	if a.Ended() && v.closed != nil {
		v.notAfter(recordOf(a.N), "was recorded", a.Time, *v.closed, "the time by which witnesses had seen that the ceremony had ended with it")
	}
}

func (v *verifier) notAfter(where, what string, at, limit time.Time, name string) {
	if at.After(limit.Add(keys.ClockTolerance)) {
		v.problem(where, "", "%s at %s, after %s, %s", what, strict.FormatTime(at), strict.FormatTime(limit), name)
	}
}

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
