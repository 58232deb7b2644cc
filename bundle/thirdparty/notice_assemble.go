package thirdparty

import (
	"bytes"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// NoticeAssembly is a notice that the operator is about to countersign. The
// operator's side is here beside the third party's, because no ceremony makes a
// notice.
type NoticeAssembly struct {
	Officers []string // who approved the notice
	Text     []byte   // what the operator's key signs

	plan    *ceremony.Plan
	notice  *bundle.Notice
	answers []bundle.Signed
}

// NewNoticeAssembly checks, before anything is countersigned, that as many officers
// as the plan demands approved the notice's exact bytes, and that each answer is
// signed by the key beside it. file names the notice in errors.
func NewNoticeAssembly(file string, n *bundle.Notice, approvals []ceremony.Signing, p *ceremony.Plan, answers []*bundle.Response) (*NoticeAssembly, error) {
	people, err := ceremony.PeopleOf(p)
	if err != nil {
		return nil, err
	}
	x := &NoticeAssembly{plan: p, notice: n}
	if x.Officers, err = people.FileApprovals(n.Raw(), NoticeNamespace(n), approvals); err != nil {
		return nil, err
	}
	if len(x.Officers) < p.Threshold {
		return nil, strict.Errorf(file, "%d of %d officers of the plan approved it", len(x.Officers), p.Threshold)
	}
	for _, r := range answers {
		if err := r.Statement.Verify(r.Key); err != nil {
			return nil, err
		}
		if r.Addition != nil {
			if err := r.VerifyAddition(nil); err != nil {
				return nil, err
			}
		}
		x.answers = append(x.answers, r.Signed)
	}
	if x.Text, err = bundle.CountersignNotice(p.Countersigner.Form, n, x.answers); err != nil {
		return nil, err
	}
	return x, nil
}

// Form is what the countersignatures are over, as the plan says.
func (x *NoticeAssembly) Form() string { return x.plan.Countersigner.Form }

// CheckKeys checks that keys are the plan's countersigner's: postQuantum is the one
// beside the other, nil where the plan names none.
func (x *NoticeAssembly) CheckKeys(key, postQuantum *bundle.PublicKey) error {
	switch c := x.plan.Countersigner; {
	case key == nil || !bytes.Equal(key.SPKI(), c.Key):
		return strict.Errorf("", "the key is not the plan's for %s", c.Name)
	case (c.PostQuantum != nil || postQuantum != nil) && !c.PostQuantum.Is(postQuantum):
		return strict.Errorf("", "the post-quantum key is not the plan's for %s", c.Name)
	}
	return nil
}

// Bundle makes the notice's bundle with the countersigner's signatures over Text, one
// or, where the plan names a post-quantum key, two. It verifies it by what the plan
// names: its third parties, as many as must sign, and its countersigner.
func (x *NoticeAssembly) Bundle(signatures []bundle.Countersignature, now time.Time) (*bundle.Bundle, error) {
	var by [2]*bundle.PublicKey
	for i := range min(len(signatures), len(by)) {
		by[i] = signatures[i].Key
	}
	if err := x.CheckKeys(by[0], by[1]); err != nil {
		return nil, err
	}
	trust, err := x.plan.Trust()
	if err != nil {
		return nil, err
	}
	b, err := bundle.Assemble(x.notice.Raw(), x.answers, signatures, nil)
	if err != nil {
		return nil, err
	}
	if _, err := b.Verify(trust, now, nil); err != nil {
		return nil, err
	}
	return b, nil
}
