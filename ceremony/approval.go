package ceremony

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// What officers approve. Each act needs the approvals of m different officers
// over the head that the transcript had just before it.
const (
	ApproveOpen        = "open"
	ApproveResume      = "resume"
	ApproveReconvene   = "reconvene"
	ApproveAbort       = "abort"
	ApproveException   = "exception"
	ApproveRequest     = "request"
	ApproveCountersign = "countersign"
)

// SSHSIG namespaces, one per kind of act, so that a signature made for one can
// never serve for another; SignNamespace adds the rehearsal's mark.
const (
	NamespacePlan    = "fleetctl-plan"
	NamespaceSession = "fleetctl-session"
	NamespaceSignoff = "fleetctl-signoff"
)

var approvalNamespaces = map[string]string{
	ApproveOpen: NamespaceSession, ApproveResume: NamespaceSession,
	ApproveReconvene: NamespaceSession, ApproveAbort: NamespaceSession,
	ApproveException: "fleetctl-exception", ApproveRequest: "fleetctl-request",
	ApproveCountersign: "fleetctl-countersign",
}

// Acts are those that are approved, in a ceremony's order.
func Acts() []string {
	return []string{ApproveOpen, ApproveResume, ApproveReconvene, ApproveException, ApproveRequest, ApproveCountersign, ApproveAbort}
}

// SignNamespace is the SSHSIG namespace of an act in a mode.
func SignNamespace(base, mode string) string {
	if mode == Rehearsal {
		return base + "-rehearsal"
	}
	return base
}

// Head is a place in a transcript: a record's hash and number.
type Head struct {
	Hash [32]byte
	N    int
}

// Approval is the text by which an officer approves an act.
type Approval struct {
	Act      string
	Mode     string
	Ceremony string
	Plan     [32]byte
	Head     Head
	Subject  [32]byte // what it is about; zero where the head says it all
	Role     string
}

// file is how the name of an approval's file begins; the signer's follows.
func (p *Approval) file() string { return fmt.Sprintf("%s-%d-", p.Act, p.Head.N) }

const approvalFormat = "fleetctl approval v1"

// maxSigned bounds an approval's or a sign-off's text, in bytes.
const maxSigned = 4096

// Namespace is the SSHSIG namespace that the text is signed in.
func (p *Approval) Namespace() string { return SignNamespace(approvalNamespaces[p.Act], p.Mode) }

// Text is what is signed.
func (p *Approval) Text() []byte {
	subject := "-"
	if p.Subject != [32]byte{} {
		subject = fmt.Sprintf("%x", p.Subject)
	}
	return fmt.Appendf(nil, "%s\nact %s\n%s\n%s\nplan %x\nhead %x %d\nsubject %s\nrole %s\n",
		approvalFormat, p.Act, p.Mode, p.Ceremony, p.Plan, p.Head.Hash, p.Head.N, subject, p.Role)
}

// ParseApproval reads an approval's text.
func ParseApproval(file string, data []byte) (*Approval, error) {
	if len(data) > maxSigned {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), maxSigned)
	}
	p := &Approval{}
	l := strict.NewLines(file, data)
	l.Literal(approvalFormat)
	p.Act = l.Token("act ")
	if _, ok := approvalNamespaces[p.Act]; !ok && l.Err() == nil {
		l.Failf("act %q is not one of %s", p.Act, strings.Join(Acts(), ", "))
	}
	p.Mode, p.Ceremony = l.Token(""), l.Token("")
	p.Plan = l.Hash("plan ")
	p.Head = readHead(l)
	if s := l.After("subject "); s != "-" && l.Err() == nil {
		h, err := strict.ParseHash(s)
		l.Check(err)
		p.Subject = h
	}
	p.Role = l.Token("role ")
	if err := l.Done(); err != nil {
		return nil, err
	}
	if !bytes.Equal(p.Text(), data) {
		return nil, strict.Errorf(file, "is not in its one canonical form")
	}
	return p, nil
}

func readHead(l *strict.Lines) (h Head) {
	hash, n, _ := strings.Cut(l.After("head "), " ")
	if l.Err() != nil {
		return h
	}
	sum, err := strict.ParseHash(hash)
	l.Check(err)
	number, err := strict.ParseUint(n)
	l.Check(err)
	return Head{sum, int(number)}
}

// The stages of sign-off and the verdicts.
const (
	StageRelease = "release"
	StageClose   = "close"

	Agree               = "agree"
	AgreeWithExceptions = "agree-with-exceptions"
	DoNotAgree          = "do-not-agree"
)

// Signoff is the text by which a person says what they think of a stage.
type Signoff struct {
	Stage      string
	Mode       string
	Ceremony   string
	Plan       [32]byte
	Head       Head // the release record's, or the close record's
	Artifact   [32]byte
	Role       string
	Verdict    string
	Exceptions []int // to which the person agrees, in AgreeWithExceptions
}

const signoffFormat = "fleetctl signoff v1"

// Namespace is the SSHSIG namespace that the text is signed in.
func (s *Signoff) Namespace() string { return SignNamespace(NamespaceSignoff, s.Mode) }

// Text is what is signed.
func (s *Signoff) Text() []byte {
	return fmt.Appendf(nil, "%s\nstage %s\n%s\n%s\nplan %x\nhead %x %d\nartifact %x\nrole %s\nverdict %s\n",
		signoffFormat, s.Stage, s.Mode, s.Ceremony, s.Plan, s.Head.Hash, s.Head.N, s.Artifact, s.Role, s.verdict())
}

// verdict is the verdict with the numbers of the exceptions agreed to.
func (s *Signoff) verdict() string {
	if s.Verdict != AgreeWithExceptions {
		return s.Verdict
	}
	return s.Verdict + " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Exceptions), " ", ","), "[]")
}

// ParseSignoff reads a sign-off's text.
func ParseSignoff(file string, data []byte) (*Signoff, error) {
	if len(data) > maxSigned {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), maxSigned)
	}
	s := &Signoff{}
	l := strict.NewLines(file, data)
	l.Literal(signoffFormat)
	if s.Stage = l.Token("stage "); s.Stage != StageRelease && s.Stage != StageClose && l.Err() == nil {
		l.Failf("stage %q is neither release nor close", s.Stage)
	}
	s.Mode, s.Ceremony = l.Token(""), l.Token("")
	s.Plan = l.Hash("plan ")
	s.Head = readHead(l)
	s.Artifact = l.Hash("artifact ")
	s.Role = l.Token("role ")
	s.readVerdict(l)
	if err := l.Done(); err != nil {
		return nil, err
	}
	if !bytes.Equal(s.Text(), data) {
		return nil, strict.Errorf(file, "is not in its one canonical form")
	}
	return s, nil
}

// met says how a sign-off is not one of the stage wanted, whoever signed it: role
// and verdict are the signer's, the exceptions are among those that can be agreed to.
func (want *Signoff) met(o *Signoff) error {
	if o.Stage != want.Stage || o.Mode != want.Mode || o.Ceremony != want.Ceremony || o.Plan != want.Plan ||
		o.Head != want.Head || o.Artifact != want.Artifact {
		return fmt.Errorf("signs off something else than this stage of this ceremony")
	}
	for _, n := range o.Exceptions {
		if !slices.Contains(want.Exceptions, n) {
			return fmt.Errorf("agrees with exception %d, and there is none that this stage could agree to", n)
		}
	}
	return nil
}

func (s *Signoff) readVerdict(l *strict.Lines) {
	verdict, list, has := strings.Cut(l.After("verdict "), " ")
	if l.Err() != nil {
		return
	}
	s.Verdict = verdict
	switch {
	case !has && (verdict == Agree || verdict == DoNotAgree):
	case has && verdict == AgreeWithExceptions:
		for part := range strings.SplitSeq(list, ",") {
			n, err := strict.ParseUint(part)
			l.Check(err)
			s.Exceptions = append(s.Exceptions, int(n))
		}
		if !slices.IsSorted(s.Exceptions) || len(slices.Compact(slices.Clone(s.Exceptions))) != len(s.Exceptions) {
			l.Failf("the exceptions are not in rising order")
		}
	default:
		l.Failf("the verdict is none of agree, agree-with-exceptions N,…, do-not-agree")
	}
}
