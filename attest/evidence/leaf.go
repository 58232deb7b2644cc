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

// maxLeaf is more than any leaf has: a namespace and a ceremony id have 128
// bytes each at most.
const maxLeaf = 1024

// The ways in which a ceremony can end.
const (
	EndingClosed  = "closed"
	EndingAborted = "aborted"
)

// Leaf is a package's identity as it is logged when its ceremony has ended:
// nobody can be shown another ending, and a copy with records withheld is the
// same evidence. What people signed last stands in no record, so the leaf
// commits to it.
type Leaf struct {
	Mode, Namespace string
	Epoch           uint64
	Ceremony        string
	Ending          string   // EndingClosed or EndingAborted
	Head            [32]byte // hash of the close record, or of the abort's
	Signatures      [32]byte // of the files that people signed and no record lists
}

// Marshal writes the leaf's exact bytes.
func (l *Leaf) Marshal() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n%d\nceremony %s\nending %s\nhead %x\nsignatures %x\n",
		leafHeader, l.Mode, l.Namespace, l.Epoch, l.Ceremony, l.Ending, l.Head, l.Signatures)
}

// ParseLeaf reads what Marshal wrote and nothing else.
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
	if l.Ending = r.Token("ending "); l.Ending != EndingClosed && l.Ending != EndingAborted {
		r.Failf("ending is %q; it is %s or %s", l.Ending, EndingClosed, EndingAborted)
	}
	l.Head, l.Signatures = r.Hash("head "), r.Hash("signatures ")
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// IsLeaf says whether a log's entry calls itself an evidence leaf, of this
// version or another; ParseLeaf judges it.
func IsLeaf(entry []byte) bool { return bytes.HasPrefix(entry, []byte("fleetctl evidence v")) }

// PackageLeaf is the leaf of an archive whose ceremony has ended and whose end
// people have signed: what is signed later is in no leaf.
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

// signedEnd demands that the plan's people have signed the end: a leaf is
// logged once, and commits to what they have signed by then. A close that
// somebody does not agree with is an ending too, and logged as it is.
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

// closedBy says why the close is not signed off, unless somebody is against it.
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

// lastSigned are the folders that a leaf commits to. A close record lists all
// that came before it; an abort's record lists nothing.
func lastSigned(a *ceremony.Account) []string {
	if a.Abort != nil {
		return []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir}
	}
	return []string{ceremony.CloseSignoffDir}
}

// leafOf is the leaf of a package whose ceremony has ended.
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
	if a.Abort != nil {
		ending = EndingAborted
	}
	return &Leaf{a.Plan.Mode, a.Plan.Namespace, a.Plan.Epoch, a.Open.Ceremony, ending, a.Head, sha256.Sum256(list)}
}

// logged grades whether how the ceremony ended, and what people signed of it,
// is in the policy's log, as the bundle is: with the same quorum of witnesses,
// if the policy names one.
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
	// The end commits to the record of the bundle's proof: when that was made, this
	// entry can't have been there.
	if before, err := auditlog.ParseProof(ceremony.ProofFile, files[ceremony.ProofFile]); err == nil && before.Checkpoint.Origin == in.Origin && in.Index < before.Checkpoint.Size {
		v.problem(where, "keep both proofs: together they show that the log was written anew", "the end is entry %d of %s, and commits to a proof of a tree of %d entries: it can't be among them",
			in.Index, in.Origin, before.Checkpoint.Size)
	}
	// Another log of the policy's may not know of the ceremony's other ending.
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
