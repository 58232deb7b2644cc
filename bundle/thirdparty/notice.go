package thirdparty

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// SSHSIG namespaces in which officers approve a notice: its file's exact bytes.
// In a rehearsal "-rehearsal" is appended, as everywhere.
const (
	namespaceRetirement = "fleetctl-retirement"
	namespaceVoid       = "fleetctl-void"
)

// NoticeNamespace is the one in which officers approve this notice.
func NoticeNamespace(n *bundle.Notice) string {
	base := namespaceRetirement
	if n.Voids() {
		base = namespaceVoid
	}
	return ceremony.SignNamespace(base, n.Mode)
}

// NoticeInspection is a retirement or a void that was found to be one to sign.
type NoticeInspection struct {
	Notice   *bundle.Notice
	Officers []string // who approved it
	Again    bool     // the ledger has the answer to this very notice

	policy *Policy
	file   string
	adder  *Adder
}

// AddBy says by which key a signature is added to the statement. No plan says whether
// one has to be: the operator takes what the last plan names.
func (in *NoticeInspection) AddBy(a *Adder) { in.adder = a }

// InspectNotice checks a notice against policy and ledger: m officers whom the
// policy pins approved its exact bytes. There is no ceremony behind it that
// could be replayed.
func InspectNotice(file string, n *bundle.Notice, approvals []ceremony.Signing, p *Policy, l *Ledger) (*NoticeInspection, error) {
	in, err := ExamineNotice(file, n, approvals, p)
	if err == nil {
		err = in.Follow(l)
	}
	return in, err
}

// ExamineNotice is InspectNotice without the ledger, as [Examine] is Inspect.
func ExamineNotice(file string, n *bundle.Notice, approvals []ceremony.Signing, p *Policy) (*NoticeInspection, error) {
	switch {
	case n.Mode != p.Mode:
		return nil, strict.Errorf(file, "is of a %s, the policy signs for %s only", n.Mode, p.Mode)
	case !slices.Contains(p.Namespaces, n.Namespace):
		return nil, strict.Errorf(file, "is of the namespace %s, which the policy does not sign for", n.Namespace)
	}
	officers, err := p.people.FileApprovals(n.Raw(), NoticeNamespace(n), approvals)
	if err != nil {
		return nil, err
	}
	if len(officers) < p.Threshold {
		return nil, strict.Errorf(file, "%d of %d officers whom the policy pins approved it", len(officers), p.Threshold).
			WithHint("%s", fmt.Sprintf("each officer signs it with\nssh-keygen -Y sign -n %s -f KEY %s", NoticeNamespace(n), file))
	}
	return &NoticeInspection{Notice: n, Officers: officers, policy: p, file: file}, nil
}

// Follow holds a notice that was examined against the ledger.
func (in *NoticeInspection) Follow(l *Ledger) (err error) {
	in.Again, _, err = l.check(wantNotice(in.file, in.Notice), in.policy.others)
	return err
}

func wantNotice(file string, n *bundle.Notice) *wanted {
	return &wanted{file: file, subject: n.Digest(), namespace: n.Namespace, epoch: n.Epoch, digest: n.Digest(), before: n.Previous, notice: n, after: n.Created}
}

// SignNotice answers an inspected notice, as Sign does a request.
func SignNotice(in *NoticeInspection, l *Ledger, now time.Time, sign func(message []byte) ([]byte, error)) (*bundle.Response, error) {
	// The newest statement says which layout this namespace's readers know.
	suite := bundle.Protobuf
	if last, _ := l.last(in.Notice.Namespace); last != nil {
		suite = last.Ciphersuite
	}
	w := wantNotice(in.file, in.Notice)
	w.adder = in.adder
	return l.sign(w, in.policy.others, suite, in.policy.clockBound(), now, sign)
}
