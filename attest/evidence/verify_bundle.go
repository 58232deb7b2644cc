package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func (v *verifier) bundleFile(in Input) {
	b, err := bundle.ParseAny(in.File, in.Data)
	if err != nil {
		v.fault(in.File, err)
		return
	}
	if b.Notice != nil {
		v.r.Object, v.r.Notice = TypeNotice, b.Notice
	}
	v.fleetVoices(in.File, b.KeySet, nil)
	if res := v.bundle(in.File, b, in.Proof, in.Rekor); res != nil {
		v.signers(in.File, b, res, v.late(b, res, v.beside(in.Statements)))
	}
}

// bundle grades what a bundle, its proof and its Rekor entry show but for who
// signed it, which it returns; nil where that can't be judged.
func (v *verifier) bundle(file string, b *bundle.Bundle, proof, rekor []byte) *bundle.Result {
	v.tells(b, nil)
	v.classicalKeys(b)
	set := b.About()
	v.r.Mode, v.r.Fleet, v.r.Namespace, v.r.Epoch = set.Mode, set.Fleet, set.Namespace, set.Epoch
	if !v.mode(file, set.Mode, set.Namespace) {
		return nil
	}
	witnessed := v.proof(file, b.Raw(), proof)
	v.witnessed = witnessed
	v.rekor(file, b.Raw(), rekor)
	if len(v.policy.operators) == 0 {
		v.lack(ClaimCountersigned, v.policy.File, "", "the policy pins no operator")
		v.lack(ClaimStatement, v.policy.File, "", "the policy pins no operator, so it can't judge bundles")
		return nil
	}
	trust := v.policy.Trust(set.Namespace)
	trust.Seen = v.seen
	res, err := b.Verify(trust, v.now, witnessed)
	var short *bundle.Short
	switch {
	case errors.As(err, &short):
		res = short.Result
	case err != nil:
		v.fault(file, err)
		return nil
	}
	return res
}

func signerNames(list []bundle.Signer) string {
	var names []string
	for _, s := range list {
		if !slices.Contains(names, s.Name) { // an operator of whom two are required has two
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

// mode refuses an object of the other mode or of a namespace that isn't
// pinned: nothing else in it is then worth a look.
func (v *verifier) mode(file, mode, namespace string) bool {
	if mode != v.policy.Mode {
		v.problem(file, "", "is of a %s, the policy is for %s only", mode, v.policy.Mode)
		return false
	}
	if !v.policy.Pins(namespace) {
		v.problem(file, "add it under namespaces: if it is one of yours", "is of the namespace %s, which the policy does not pin", namespace)
		return false
	}
	return true
}

// proof grades what the log shows, and gives the time by which a witness
// quorum had seen the leaf; nil where none has.
func (v *verifier) proof(file string, leaf, proof []byte) (witnessed *time.Time) {
	where := file + ".tlog-proof"
	if v.policy.Log == nil {
		v.lack(ClaimIncluded, v.policy.File, "pin the log under log_policy:", "the policy pins no log")
		v.lack(ClaimWitnessed, v.policy.File, "", "the policy pins no log")
		return
	}
	if proof == nil {
		next := "fleetctl log prove --out " + where
		v.lack(ClaimIncluded, where, next, "there is no proof beside it")
		v.lack(ClaimWitnessed, where, next, "there is no proof beside it")
		return
	}
	in := v.included(where, leaf, proof)
	switch {
	case in == nil:
		return
	case in.LogOutside != "":
		v.lack(ClaimIncluded, where, "", "entry %d of %d, %s, but %s", in.Index, in.Size, in.Origin, in.LogOutside)
		v.lack(ClaimWitnessed, where, "", "%s", in.LogOutside)
		return
	}
	v.show(ClaimIncluded, Proven, where, "entry %d of %d, %s", in.Index, in.Size, in.Origin)
	v.witnesses(where, in)
	v.newest = v.newestIn(where, proof, in)
	v.told.Logged = &LogEntry{in.Origin, in.Index, in.Size, in.Witnessed()}
	return in.Witnessed()
}

// newestIn is the time of the newest cosignature in the one proof that a package
// holds, whatever others were given beside.
func (v *verifier) newestIn(where string, proof []byte, in *auditlog.Inclusion) (newest *time.Time) {
	witnesses := in.Witnesses
	if len(v.proofs) > 0 {
		p, err := auditlog.ParseProof(where, proof)
		if err != nil {
			return nil // it was parsed before
		}
		c, err := v.policy.Log.VerifyCheckpoint(p.Checkpoint)
		if err != nil {
			return nil
		}
		witnesses = c.Witnesses
	}
	for _, w := range witnesses {
		if newest == nil || w.Time.After(*newest) {
			newest = &w.Time
		}
	}
	return newest
}

func (v *verifier) witnesses(where string, in *auditlog.Inclusion) {
	total := len(in.Witnesses) + len(in.Missing)
	switch {
	case in.Quorum:
		v.show(ClaimWitnessed, Proven, where, "%d of %d witnesses, newest quorum %s%s", len(in.Witnesses), total, strict.FormatTime(in.NewestQuorumTime), notWeighed(in))
	case !in.Demanded:
		v.lack(ClaimWitnessed, where, "name a quorum of witnesses in log_policy:", "the policy names no quorum of witnesses")
	default:
		v.lack(ClaimWitnessed, where, "", "%d of %d witnesses cosigned a checkpoint of size %d, which is no quorum; missing %s%s",
			len(in.Witnesses), total, in.Size, strings.Join(in.Missing, ", "), notWeighed(in))
	}
}

// notWeighed says which cosignatures verify and don't count, and which are by other
// keys than the pinned ones.
func notWeighed(in *auditlog.Inclusion) (text string) {
	if len(in.Uncounted) > 0 {
		text = "; not counted: " + strings.Join(in.Uncounted, "; ")
	}
	for _, other := range in.OtherKeys {
		text += "; " + other
	}
	return text
}

// statement verifies a third party's statement alone, as served or as a
// response to us.
func (v *verifier) statement(in Input) {
	x, claimed, err := readStatement(in)
	if err != nil {
		v.fault(in.File, err)
		return
	}
	s := x.Statement
	mode := ceremony.Production
	if strings.HasPrefix(s.Namespace, ceremony.RehearsalPrefix) {
		mode = ceremony.Rehearsal
	}
	v.r.Mode, v.r.Namespace, v.r.Epoch = mode, s.Namespace, s.Epoch
	if !v.mode(in.File, mode, s.Namespace) {
		return
	}
	// A statement as served doesn't say whose it is, but for a hint that isn't
	// signed: it is the pinned key's that verifies it.
	for _, p := range v.policy.parties {
		if claimed != nil && *claimed != p.Key || s.Verify(p.Key) != nil {
			continue
		}
		if v.notAfter(in.File, "the statement says to be signed", s.Time(), v.now, "the time it is judged at"); !v.clean() {
			return
		}
		if !p.Window.Counts(v.now, nil) {
			v.lack(ClaimStatement, in.File, "in a bundle, a witnessed proof can show when it was made", "%s signed it, but its key's window does not cover %s", p.Name, strict.FormatTime(v.r.Time))
			return
		}
		trust := v.policy.Trust(s.Namespace)
		if lacks, ok := v.adds(trust, in.File, x, p.Name, nil); !ok {
			return
		} else if lacks != "" {
			v.lack(ClaimStatement, in.File, "a response of the third party's has both signatures, a statement as served has one", "%s %s, and the policy requires both", p.Name, lacks)
			return
		}
		if v.policy.needed > 1 {
			v.lack(ClaimStatement, in.File, "verify the bundle, which has them all", "%s signed it; the policy wants %d third parties, and a statement is one's", p.Name, v.policy.needed)
			return
		}
		v.show(ClaimStatement, Proven, in.File, "%s, epoch %d, digest %x…, %s", p.Name, s.Epoch, s.Digest[:4], s.Time().Format("2006-01-02T15:04:05.000Z"))
		v.show(ClaimMode, Proven, in.File, "%s, by its namespace", mode)
		return
	}
	if claimed != nil {
		v.problem(in.File, "", "the statement does not verify under its key, or the policy does not pin that key")
		return
	}
	v.problem(in.File, "", "the statement verifies under none of the %d pinned third parties", len(v.policy.parties))
}

// readStatement reads a statement, with the key of a response; one as served has none.
func readStatement(in Input) (bundle.Signed, *[32]byte, error) {
	if format(in.Data) == bundle.ResponseFormat {
		r, err := bundle.ParseResponse(in.File, in.Data)
		if err != nil {
			return bundle.Signed{}, nil, err
		}
		return r.Signed, &r.Key, nil
	}
	s, err := bundle.ParseServed(in.File, in.Data)
	return bundle.Signed{Statement: s}, nil, err
}

// adds says why a statement lacks the post-quantum signature that is required beside it;
// empty where it doesn't, or none is required. What is wrong is a problem, and not ok.
func (v *verifier) adds(trust *bundle.Trust, where string, s bundle.Signed, party string, seen *time.Time) (lacks string, ok bool) {
	_, lacks, err := trust.Adds(s, party, v.now, seen)
	if err != nil {
		v.problem(where, "", "the statement of %s: %v", party, err)
		return "", false
	}
	if !trust.RequiresAll(party) {
		return "", true
	}
	return lacks, true
}

// classicalKeys names the fleet's keys that are not post-quantum, under a policy that
// requires post-quantum signatures.
func (v *verifier) classicalKeys(b *bundle.Bundle) {
	if len(v.policy.requires) == 0 || b.KeySet == nil {
		return
	}
	for _, role := range b.KeySet.Roles() {
		for _, k := range b.KeySet.Keys {
			if k.Role == role && !k.Algorithm.IsMLDSA() && !k.Algorithm.IsMLKEM() {
				v.r.Classical = append(v.r.Classical, fmt.Sprintf("the fleet's keys of the role %s: %s", role, k.Algorithm))
				break
			}
		}
	}
}
