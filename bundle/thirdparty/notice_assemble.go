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
		x.answers = append(x.answers, r.Signed)
	}
	if x.Text, err = bundle.CountersignNotice(p.Countersigner.Form, n, x.answers); err != nil {
		return nil, err
	}
	return x, nil
}

// CheckKey checks that a key is the plan's countersigner's.
func (x *NoticeAssembly) CheckKey(key *bundle.PublicKey) error {
	if !bytes.Equal(key.SPKI(), x.plan.Countersigner.Key) {
		return strict.Errorf("", "the key is not the plan's for %s", x.plan.Countersigner.Name)
	}
	return nil
}

// Bundle makes the notice's bundle with the key's signature over Text, and verifies
// it by what the plan names: its third parties, as many as must sign, and its
// countersigner.
func (x *NoticeAssembly) Bundle(key *bundle.PublicKey, signature []byte, now time.Time) (*bundle.Bundle, error) {
	if err := x.CheckKey(key); err != nil {
		return nil, err
	}
	p := x.plan
	b, err := bundle.Assemble(x.notice.Raw(), x.answers, []bundle.Countersignature{{Key: key, Form: p.Countersigner.Form, Signature: signature}}, nil)
	if err != nil {
		return nil, err
	}
	trust := &bundle.Trust{Mode: p.Mode, Namespace: p.Namespace, Needed: p.Answers(),
		Operators: []bundle.Operator{{Name: p.Countersigner.Name, Key: key, Form: p.Countersigner.Form}}}
	for _, t := range p.ThirdParties {
		trust.ThirdParties = append(trust.ThirdParties, bundle.ThirdParty{Name: t.Name, Key: t.Key})
	}
	if _, err := b.Verify(trust, now, nil); err != nil {
		return nil, err
	}
	return b, nil
}
