package evidence

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const leafHeader = "fleetctl evidence v2"

// maxLeaf is the largest leaf in bytes. A leaf has less than half: its namespace and its
// ceremony's id have at most 128 bytes each.
const maxLeaf = 1024

// The values of Leaf.Ending.
const (
	EndingClosed  = "closed"
	EndingAborted = "aborted"
	// EndingDestroyed: it destroyed the keys of a fleet that was retired.
	EndingDestroyed = "destroyed"
)

// Leaf is the log entry about a package, made when its ceremony has ended: with it nobody
// can be shown another ending. A copy of the package with withheld records has the same
// leaf. No record lists what people signed last, so the leaf commits to that.
type Leaf struct {
	Mode, Namespace string
	Epoch           uint64
	Ceremony        string
	Ending          string   // EndingClosed, EndingDestroyed or EndingAborted
	Head            [32]byte // hash of the close or abort record
	Signatures      [32]byte // SHA-256 of the list of signature files that no record lists
}

// Marshal returns the leaf's exact bytes.
func (l *Leaf) Marshal() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n%d\nceremony %s\nending %s\nhead %x\nsignatures %x\n",
		leafHeader, l.Mode, l.Namespace, l.Epoch, l.Ceremony, l.Ending, l.Head, l.Signatures)
}

// ParseLeaf reads a leaf as Marshal writes it, and refuses any other form.
func ParseLeaf(file string, data []byte) (*Leaf, error) {
	if len(data) > maxLeaf {
		return nil, strict.Errorf(file, "has %d bytes, an evidence leaf has at most %d", len(data), maxLeaf)
	}
	r := strict.NewLines(file, data)
	r.Literal(leafHeader)
	l := &Leaf{Mode: r.Next()}
	if l.Mode != ceremony.Production && l.Mode != ceremony.Rehearsal {
		r.Failf("mode is %q; it is %s or %s", l.Mode, ceremony.Production, ceremony.Rehearsal)
	}
	l.Namespace, l.Epoch, l.Ceremony = r.Token(""), r.Uint(""), r.Token("ceremony ")
	if l.Ending = r.Token("ending "); l.Ending != EndingClosed && l.Ending != EndingAborted && l.Ending != EndingDestroyed {
		r.Failf("ending is %q; it is %s, %s or %s", l.Ending, EndingClosed, EndingAborted, EndingDestroyed)
	}
	l.Head, l.Signatures = r.Hash("head "), r.Hash("signatures ")
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// IsLeaf says whether a log's entry begins like an evidence leaf of any version. Only
// ParseLeaf checks it.
func IsLeaf(entry []byte) bool { return bytes.HasPrefix(entry, []byte("fleetctl evidence v")) }

// PackageLeaf is the leaf of an archive. Its ceremony must have ended, and people must
// have signed the end: the leaf doesn't commit to later signatures.
func PackageLeaf(file string, archive []byte) (*Leaf, error) {
	files, err := Unpack(file, archive)
	if err != nil {
		return nil, err
	}
	plan, err := ceremony.ParsePlan(ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return nil, err
	}
	a, _, err := ceremony.Replay(plan, ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return nil, err
	}
	if !a.Ended() {
		return nil, strict.Errorf(file, "its ceremony is neither closed nor aborted, so that its identity may still change")
	}
	if err := signedEnd(files, a); err != nil {
		return nil, err
	}
	return leafOf(files, a), nil
}

// signedEnd demands that enough of the plan's people have signed the end, since a leaf is
// logged once and commits to their signatures. A close with which somebody does not
// agree may be logged too.
func signedEnd(files Files, a *ceremony.Account) error {
	people, err := a.People()
	if err != nil {
		return err
	}
	dir, how := ceremony.CloseSignoffDir, "--signoff close --verdict VERDICT"
	if a.Abort != nil {
		dir, how = ceremony.ApprovalsDir, "--approve abort"
	}
	list, err := ceremony.Signings(files, dir)
	if err != nil {
		return err
	}
	var short error
	if a.Abort != nil {
		voices, err := people.Signers(a.AbortApproval(), list)
		if err != nil {
			return err
		}
		short = ceremony.AbortVerdicts(voices).Attested()
	} else if short, err = closedBy(files, a, people, list); err != nil {
		return err
	}
	if short == nil {
		return nil
	}
	return strict.Errorf(dir, "that the ceremony ended so is not signed yet: %v", short).
		WithHint("the log's entry commits to what people signed: they sign first, each with\nfleetctl ceremony sign DIR %s --key KEY\nthen it is packed and logged", how)
}

// closedBy says why the close is not signed off; nil if it is, or if somebody disagrees.
func closedBy(files Files, a *ceremony.Account, people *ceremony.People, list []ceremony.Signing) (short, err error) {
	want, err := a.WantedSignoff(ceremony.StageClose)
	if err != nil {
		return nil, err
	}
	said, err := people.Signoffs(want, list)
	if err != nil || len(said.Against) > 0 {
		return nil, err
	}
	approvals, err := ceremony.Signings(files, ceremony.ApprovalsDir)
	if err != nil {
		return nil, err
	}
	acts, err := people.ReadApprovals(approvals)
	if err != nil {
		return nil, err
	}
	return a.SignedOff(ceremony.StageClose, said, list, acts, a.Plan.Threshold), nil
}

// lastSigned are the folders of signatures that a leaf commits to. A close record lists
// all files before it; an abort record lists none.
func lastSigned(a *ceremony.Account) []string {
	if a.Abort != nil {
		return []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir}
	}
	return []string{ceremony.CloseSignoffDir}
}

// leafOf computes the leaf of a package whose ceremony has ended.
func leafOf(files Files, a *ceremony.Account) *Leaf {
	var list []byte
	folders := lastSigned(a)
	for _, path := range files.Paths() {
		for _, dir := range folders {
			if strings.HasPrefix(path, dir+"/") {
				list = sumLine(list, path, sha256.Sum256(files[path]))
			}
		}
	}
	ending := EndingClosed
	if a.Plan.Destroys != nil {
		ending = EndingDestroyed
	}
	if a.Abort != nil {
		ending = EndingAborted
	}
	return &Leaf{a.Plan.Mode, a.Plan.Namespace, a.Plan.Epoch, a.Open.Ceremony, ending, a.Head, sha256.Sum256(list)}
}

// logged grades whether the package's leaf is in the policy's log, seen by the policy's
// quorum of witnesses if it names one.
func (v *verifier) logged(file string, files Files, a *ceremony.Account, proof []byte) {
	where := "evidence.tlog-proof"
	switch {
	case v.policy.Log == nil:
		v.lack(ClaimLogged, v.policy.File, "pin the log under log_policy:", "the policy pins no log")
		return
	case !a.Ended():
		v.lack(ClaimLogged, where, "", "the ceremony has not ended")
		return
	case proof == nil:
		v.lack(ClaimLogged, where, "fleetctl log append "+file+" --log LOG --key KEY", "there is no proof beside it")
		return
	}
	leaf := leafOf(files, a)
	in := v.included(where, leaf.Marshal(), proof)
	if in == nil {
		v.lack(ClaimLogged, where, "", "the proof beside it is not that %s is logged as %s with exactly these signatures", leaf.Ceremony, leaf.Ending)
		return
	}
	// The end commits to the bundle's proof, or to the two that a destruction rests on. So
	// this entry can't be in the tree of such a proof's checkpoint.
	for _, path := range []string{ceremony.ProofFile, ceremony.RetirementProofFile, ceremony.RetiredProofFile} {
		if before, err := auditlog.ParseProof(path, files[path]); err == nil && before.Checkpoint.Origin == in.Origin && in.Index < before.Checkpoint.Size {
			v.problem(where, "keep both proofs: together they show that the log was written anew", "the end is entry %d of %s, and commits to a proof of a tree of %d entries, %s: it can't be among them",
				in.Index, in.Origin, before.Checkpoint.Size, path)
		}
	}
	// It must be a log of the plan: another log of the policy may not hold another ending
	// of this ceremony.
	if plans, err := auditlog.ParsePolicy("log_policy", []byte(a.Plan.LogPolicy)); err != nil || !in.SignedBy(plans) {
		v.lack(ClaimLogged, where, "fleetctl log append "+file+" --log LOG --key KEY", "entry %d of %d, %s, which is no log of the plan's", in.Index, in.Size, in.Origin)
		return
	}
	if in.LogOutside == "" {
		v.closed = in.Witnessed()
	}
	switch {
	case in.LogOutside != "":
		v.lack(ClaimLogged, where, "", "entry %d of %d, %s, but %s", in.Index, in.Size, in.Origin, in.LogOutside)
	case in.Demanded && !in.Quorum:
		v.lack(ClaimLogged, where, "fleetctl log prove --refresh "+file+" --log LOG --policy POLICY", "entry %d of %d, %s, but %d of %d witnesses cosigned it, which is no quorum%s",
			in.Index, in.Size, in.Origin, len(in.Witnesses), len(in.Witnesses)+len(in.Missing), notWeighed(in))
	case in.Demanded:
		v.show(ClaimLogged, Proven, where, "logged as %s: entry %d of %d, %s, by a witness quorum of %s", leaf.Ending, in.Index, in.Size, in.Origin, strict.FormatTime(in.QuorumTime))
	default:
		v.show(ClaimLogged, Proven, where, "logged as %s: entry %d of %d, %s; the policy names no quorum of witnesses", leaf.Ending, in.Index, in.Size, in.Origin)
	}
}
