package ceremony

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// The acts that officers approve. Each needs approvals by the plan's threshold of
// different officers, who sign the head that the transcript had just before the act.
const (
	ApproveOpen        = "open"
	ApproveResume      = "resume"
	ApproveReconvene   = "reconvene"
	ApproveAbort       = "abort"
	ApproveException   = "exception"
	ApproveRequest     = "request"
	ApproveCountersign = "countersign"
)

// SSHSIG namespaces (OpenSSH's PROTOCOL.sshsig), one for each kind of act, so that a
// signature made for one never counts for another. SignNamespace adds the mark of a
// rehearsal.
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

// Acts are the acts that officers approve, in a ceremony's order.
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
	Subject  [32]byte // digest of what is approved; zero if the head is enough
	Role     string
}

// file is the beginning of the name of an approval's file; the signer's name follows.
func (p *Approval) file() string { return fmt.Sprintf("%s-%d-", p.Act, p.Head.N) }

const approvalFormat = "fleetctl approval v1"

// maxSigned is the largest text of an approval or a sign-off, in bytes.
const maxSigned = 4096

// Namespace is the SSHSIG namespace that the text is signed in.
func (p *Approval) Namespace() string { return SignNamespace(approvalNamespaces[p.Act], p.Mode) }

// Text is the text that is signed.
func (p *Approval) Text() []byte {
	subject := "-"
	if p.Subject != [32]byte{} {
		subject = fmt.Sprintf("%x", p.Subject)
	}
	return fmt.Appendf(nil, "%s\nact %s\n%s\n%s\nplan %x\nhead %x %d\nsubject %s\nrole %s\n",
		approvalFormat, p.Act, p.Mode, p.Ceremony, p.Plan, p.Head.Hash, p.Head.N, subject, p.Role)
}

// readSigned reads a signed text: the line of its format, the lines that read takes,
// and no others. write writes what was read, which must give the same bytes.
func readSigned(file string, data []byte, format string, read func(*strict.Lines), write func() []byte) error {
	if len(data) > maxSigned {
		return strict.Errorf(file, "has %d bytes, %d are allowed", len(data), maxSigned)
	}
	l := strict.NewLines(file, data)
	l.Literal(format)
	read(l)
	if err := l.Done(); err != nil {
		return err
	}
	if !bytes.Equal(write(), data) {
		return strict.Errorf(file, "is not in its one canonical form")
	}
	return nil
}

// ParseApproval reads an approval's text.
func ParseApproval(file string, data []byte) (*Approval, error) {
	p := &Approval{}
	if err := readSigned(file, data, approvalFormat, p.read, p.Text); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Approval) read(l *strict.Lines) {
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

// The stages that people sign off, and their verdicts.
const (
	StageRelease = "release"
	StageClose   = "close"

	Agree               = "agree"
	AgreeWithExceptions = "agree-with-exceptions"
	DoNotAgree          = "do-not-agree"
)

// Signoff is the text by which a person gives a verdict on a stage.
type Signoff struct {
	Stage      string
	Mode       string
	Ceremony   string
	Plan       [32]byte
	Head       Head // the release record's, or the close record's
	Artifact   [32]byte
	Role       string
	Verdict    string
	Exceptions []int // the numbers of those to which AgreeWithExceptions agrees
}

const signoffFormat = "fleetctl signoff v1"

// Namespace is the SSHSIG namespace that the text is signed in.
func (s *Signoff) Namespace() string { return SignNamespace(NamespaceSignoff, s.Mode) }

// Text is the text that is signed.
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
	s := &Signoff{}
	if err := readSigned(file, data, signoffFormat, s.read, s.Text); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Signoff) read(l *strict.Lines) {
	if s.Stage = l.Token("stage "); s.Stage != StageRelease && s.Stage != StageClose && l.Err() == nil {
		l.Failf("stage %q is neither release nor close", s.Stage)
	}
	s.Mode, s.Ceremony = l.Token(""), l.Token("")
	s.Plan = l.Hash("plan ")
	s.Head = readHead(l)
	s.Artifact = l.Hash("artifact ")
	s.Role = l.Token("role ")
	s.readVerdict(l)
}

// met checks that o signs off the same stage of the same ceremony as want, and agrees
// to no exceptions but want's. Role and verdict may be any.
func (want *Signoff) met(o *Signoff) error {
	if o.Stage != want.Stage || o.Mode != want.Mode || o.Ceremony != want.Ceremony || o.Plan != want.Plan ||
		o.Head != want.Head || o.Artifact != want.Artifact {
		return fmt.Errorf("signs off something else than this stage of this ceremony")
	}
	for _, n := range o.Exceptions {
		if !slices.Contains(want.Exceptions, n) {
			return fmt.Errorf("agrees with exception %d, which is not on the record of this stage", n)
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
