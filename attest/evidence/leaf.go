package evidence

import (
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const leafHeader = "fleetctl evidence v1"

// maxLeaf is more than any leaf has: a namespace has 128 bytes at most.
const maxLeaf = 512

// Leaf is a package's identity as it is logged after the close: nobody can be
// shown another ending, and a copy with records withheld is the same evidence.
type Leaf struct {
	Mode, Namespace string
	Epoch           uint64
	Head            [32]byte // hash of the close record
}

// Marshal writes the leaf's exact bytes.
func (l *Leaf) Marshal() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n%d\n%x\n", leafHeader, l.Mode, l.Namespace, l.Epoch, l.Head)
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
	l.Namespace, l.Epoch, l.Head = r.Token(""), r.Uint(""), r.Hash("")
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// PackageLeaf is the leaf of an archive whose ceremony was closed.
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
	if a.Close == nil {
		return nil, strict.Errorf(file, "its ceremony is not closed, so that its identity may still change")
	}
	return leafOf(a), nil
}

func leafOf(a *ceremony.Account) *Leaf {
	return &Leaf{a.Plan.Mode, a.Plan.Namespace, a.Plan.Epoch, a.Head}
}

// logged grades whether the close head is in the policy's log, as the bundle
// is: with the same quorum of witnesses, if the policy names one.
func (v *verifier) logged(file string, a *ceremony.Account, proof []byte) {
	where := "evidence.tlog-proof"
	switch {
	case v.policy.Log == nil:
		v.lack(ClaimLogged, v.policy.File, "pin the log under log_policy:", "the policy pins no log")
		return
	case a.Close == nil:
		v.lack(ClaimLogged, where, "", "the ceremony is not closed")
		return
	case proof == nil:
		v.lack(ClaimLogged, where, "fleetctl log append "+file+" --log LOG --key KEY", "there is no proof beside it")
		return
	}
	p, err := auditlog.ParseProof(where, proof)
	if err != nil {
		v.fault(where, err)
		return
	}
	in, err := v.policy.Log.Verify(leafOf(a).Marshal(), p)
	switch {
	case err != nil:
		v.fault(where, err)
	case in.Demanded && !in.Quorum:
		v.lack(ClaimLogged, where, "fleetctl log prove --refresh "+file+" --log LOG --policy POLICY", "entry %d of %d, %s, but %d of %d witnesses cosigned it, which is no quorum",
			in.Index, in.Size, in.Origin, len(in.Witnesses), len(in.Witnesses)+len(in.Missing))
	case in.Demanded:
		v.show(ClaimLogged, Proven, where, "entry %d of %d, %s, by a witness quorum of %s", in.Index, in.Size, in.Origin, strict.FormatTime(in.QuorumTime))
	default:
		v.show(ClaimLogged, Proven, where, "entry %d of %d, %s; the policy names no quorum of witnesses", in.Index, in.Size, in.Origin)
	}
}
