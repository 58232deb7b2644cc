package ceremony

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The folders of what people signed. A signed text lies beside its signature,
// which has .sig at the end of its name; who signed follows from the key.
const (
	PlanApprovalsDir  = "plan-approvals"
	ApprovalsDir      = "approvals"
	ReleaseSignoffDir = "signoffs/release"
	CloseSignoffDir   = "signoffs/close"
)

// SignoffDir is the folder of a stage's sign-offs.
func SignoffDir(stage string) string { return "signoffs/" + stage }

const SigSuffix = ".sig"

// Signing is a text and its armoured SSHSIG signature, as they lie beside each
// other in a package.
type Signing struct {
	Name      string // of the file, without folder; says nothing about who signed
	Text      []byte
	Signature []byte

	read *judged // shared by every copy; nil of one that no folder gave
}

// judged is what came of reading a signing. Signings gives each of its list
// one, so that its text is parsed and its signature verified once, whoever's
// signatures count: a verifier asks for people at several times. A list is for
// one goroutine.
type judged struct {
	approval  *Approval
	signoff   *Signoff
	signature *sshsig.Signature // that verified over text in namespace
	text      [32]byte
	namespace string
}

func (s Signing) approval(file string) (*Approval, error) {
	if s.read != nil && s.read.approval != nil {
		return s.read.approval, nil
	}
	a, err := ParseApproval(file, s.Text)
	if err == nil && s.read != nil {
		s.read.approval = a
	}
	return a, err
}

func (s Signing) signoff(file string) (*Signoff, error) {
	if s.read != nil && s.read.signoff != nil {
		return s.read.signoff, nil
	}
	o, err := ParseSignoff(file, s.Text)
	if err == nil && s.read != nil {
		s.read.signoff = o
	}
	return o, err
}

// verify reads the signature and verifies it over a text: the signing's own, or
// the plan that it approves. A refusal ends the folder and isn't remembered.
func (s Signing) verify(file string, text []byte, namespace string) (*sshsig.Signature, error) {
	digest := sha256.Sum256(text)
	if r := s.read; r != nil && r.signature != nil && r.namespace == namespace && r.text == digest {
		return r.signature, nil
	}
	sig, err := sshsig.Parse(file+SigSuffix, s.Signature)
	if err != nil {
		return nil, err
	}
	if err := sig.Verify(namespace, text); err != nil {
		return nil, strict.Errorf(file+SigSuffix, "%v", err)
	}
	if s.read != nil {
		s.read.signature, s.read.text, s.read.namespace = sig, digest, namespace
	}
	return sig, nil
}

// Signings takes a folder's signatures, and their texts, out of files by path.
// Plan approvals have no text of their own: they sign the plan.
func Signings(files map[string][]byte, dir string) ([]Signing, error) {
	type pair struct{ text, signature bool } // an empty file is there too
	there := map[string]pair{}
	for path := range files {
		name, ok := strings.CutPrefix(path, dir+"/")
		if !ok {
			continue
		}
		base, isSig := strings.CutSuffix(name, SigSuffix)
		p := there[base]
		p.text, p.signature = p.text || !isSig, p.signature || isSig
		there[base] = p
	}
	var list []Signing
	for _, base := range slices.Sorted(maps.Keys(there)) {
		p, path := there[base], dir+"/"+base
		switch {
		case !p.signature:
			return nil, strict.Errorf(path, "has no signature beside it").WithHint("if nobody was about to sign it, move it into private")
		case p.text && dir == PlanApprovalsDir:
			return nil, strict.Errorf(path, "is a text of its own; in this folder the plan is signed, and nobody would look at it").WithHint("move it away")
		case !p.text && dir != PlanApprovalsDir:
			return nil, strict.Errorf(path+SigSuffix, "signs a text that is not beside it")
		}
		list = append(list, Signing{Name: base, Text: files[path], Signature: files[path+SigSuffix], read: &judged{}})
	}
	return list, nil
}

// slowSigning is what a signature by a key on P-384 counts among the signings:
// it takes eight times as long to verify as one by Ed25519.
const slowSigning = 4

// CheckSignings refuses files with more signatures of people than a ceremony
// may have. It looks at none of them.
func CheckSignings(files map[string][]byte) error {
	total := 0
	for path, data := range files {
		if !strings.HasSuffix(path, SigSuffix) {
			continue
		}
		total++
		if sshsig.Slow(data) {
			total += slowSigning - 1
		}
	}
	if total > maxSignings {
		return strict.Errorf("", "the signatures of people count %d, and %d are allowed; one by a key on P-384 counts %d", total, maxSignings, slowSigning)
	}
	return nil
}

// CheckSigned judges every file in the folders of what people signed, whoever
// signed it and whether or not it counts for anything: its name has the shape
// that it must have, a text and its signature lie beside each other, the text is
// about this ceremony's own records, and the signature is one over it. So nothing
// can lie in these folders that nobody looks at. It returns what is wrong with
// each folder.
//
// Whose signatures count is not asked here: see People. read gives a folder's
// signings, as Signings does; one that gives the same again spares the work.
func (a *Account) CheckSigned(read func(dir string) ([]Signing, error)) error {
	var faults strict.Errors
	for _, dir := range append(slices.Clone(SignedDirs), CloseSignoffDir) {
		list, err := read(dir)
		for i := 0; err == nil && i < len(list); i++ {
			err = a.checkSigning(dir, list[i])
		}
		faults.Add(err)
	}
	return faults.Err()
}

func (a *Account) checkSigning(dir string, s Signing) error {
	file := dir + "/" + s.Name
	if err := strict.CheckToken(s.Name); err != nil {
		return strict.Errorf(file, "its name is not that of one signature: it %v", err)
	}
	text, namespace := s.Text, ""
	var err error
	switch dir {
	case PlanApprovalsDir:
		text, namespace = a.Plan.Raw(), SignNamespace(NamespacePlan, a.Plan.Mode)
	case ApprovalsDir:
		namespace, err = a.checkApproval(file, s)
	default:
		namespace, err = a.checkSignoff(file, dir, s)
	}
	if err != nil {
		return err
	}
	_, err = s.verify(file, text, namespace)
	return err
}

// checkApproval demands an approval of this ceremony, over one of its records.
// That the act then followed is not demanded: people may approve what is not
// done after all.
func (a *Account) checkApproval(file string, s Signing) (namespace string, err error) {
	p, err := s.approval(file)
	if err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(s.Name, p.file()); !ok || name == "" {
		return "", strict.Errorf(file, "approves %q over record %d; such a file is named %sNAME", p.Act, p.Head.N, p.file())
	}
	if p.Mode != a.Plan.Mode || p.Plan != a.Plan.Digest() || a.Open == nil || p.Ceremony != a.Open.Ceremony {
		return "", strict.Errorf(file, "approves an act of another ceremony")
	}
	if hash, ok := a.record(p.Head.N); !ok || hash != p.Head.Hash {
		return "", strict.Errorf(file, "is over a record %d that is not this transcript's", p.Head.N)
	}
	if err := a.checkAct(p); err != "" {
		return "", strict.Errorf(file, "%s", err)
	}
	return p.Namespace(), nil
}

// checkAct says what is wrong with an approval's subject and role for its act.
func (a *Account) checkAct(p *Approval) string {
	roles := []string{Officer}
	switch p.Act {
	case ApproveRequest, ApproveCountersign:
		if p.Subject == [32]byte{} {
			return "approves " + p.Act + " of nothing"
		}
	case ApproveException:
		if p.Subject != p.Head.Hash || !a.exceptional[p.Head.N] {
			return "accepts what is no exception on the record"
		}
	case ApproveAbort:
		roles = append(roles, Witness, Auditor)
		if a.Abort == nil || p.Head != (Head{a.Head, a.N}) || p.Subject != a.Head {
			return "is over what is no abort on the record"
		}
	default:
		if p.Subject != [32]byte{} {
			return "names a subject, and " + p.Act + " has none"
		}
	}
	if !slices.Contains(roles, p.Role) {
		return "is signed as " + p.Role + ", and " + p.Act + " is for " + strings.Join(roles, ", ")
	}
	return ""
}

// checkSignoff demands a sign-off of exactly the folder's stage of this ceremony.
func (a *Account) checkSignoff(file, dir string, s Signing) (namespace string, err error) {
	stage := strings.TrimPrefix(dir, SignoffDir(""))
	o, err := s.signoff(file)
	if err != nil {
		return "", err
	}
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return "", strict.Errorf(file, "signs off what the ceremony did not come to: %v", err)
	}
	if err := want.met(o); err != nil {
		return "", strict.Errorf(file, "%v", err)
	}
	if o.Role != Officer && o.Role != Witness && o.Role != Auditor {
		return "", strict.Errorf(file, "is signed as %q, which is no role", o.Role)
	}
	return o.Namespace(), nil
}

// record is the hash of record n.
func (a *Account) record(n int) (hash [32]byte, ok bool) {
	if n < 1 || n > len(a.hashes) {
		return hash, false
	}
	return a.hashes[n-1], true
}

// SignedDirs are the folders of what people sign before the bundle is made.
// The records "request" and "countersignature" list their files with digests:
// a signature is then as old as the record, and not only as old as its signer
// says.
var SignedDirs = []string{PlanApprovalsDir, ApprovalsDir, ReleaseSignoffDir}

func (a *Account) takeRequest(c *Request, r *Record) error {
	if err := checkSigned(c.Files, nil); err != nil {
		return err
	}
	a.Request, a.requestN, a.exceptionsAsked, a.asked = c, r.N, len(a.Exceptions), pathsOf(c.Files)
	return nil
}

func pathsOf(list []File) map[string]bool {
	paths := make(map[string]bool, len(list))
	for _, f := range list {
		paths[f.Path] = true
	}
	return paths
}

// checkSigned demands that a record's list is sorted, distinct, of those
// folders alone, and still has all of the list before it.
func checkSigned(list, before []File) error {
	last, has := "", map[File]bool{}
	for _, f := range list {
		if f.Path <= last {
			return fmt.Errorf("its files are not sorted and distinct: %q comes after %q", f.Path, last)
		}
		last, has[f] = f.Path, true
		if !IsSigned(f.Path) {
			return fmt.Errorf("it lists %q, which is no file of %s", f.Path, strings.Join(SignedDirs, ", "))
		}
	}
	for _, f := range before {
		if !has[f] {
			return fmt.Errorf("%q, which the request lists, is missing or another file", f.Path)
		}
	}
	return nil
}

func IsSigned(path string) bool {
	return slices.ContainsFunc(SignedDirs, func(dir string) bool {
		name, ok := strings.CutPrefix(path, dir+"/")
		return ok && strict.CheckToken(name) == nil && name != "." && name != ".."
	})
}

// Dated are the files of people's signatures that the bundle commits to, by
// way of the countersignature's record. Whoever saw the bundle had them.
func (a *Account) Dated() map[string][32]byte {
	dated := map[string][32]byte{}
	if a.Counter != nil {
		for _, f := range a.Counter.Files {
			dated[f.Path] = f.SHA256
		}
	}
	return dated
}

// Afterwards says which record lacks a file of people's signatures that was to be
// there before it, by the signature's path: "request" for all that leads to the
// request, "countersignature" for what came between the two. Empty where the
// file was there in time, or need not have been. An act that was done first and
// approved later was done without approval.
func (a *Account) Afterwards(path string) Kind {
	dir, name := "", ""
	for _, d := range SignedDirs {
		if rest, ok := strings.CutPrefix(path, d+"/"); ok {
			dir, name = d, rest
		}
	}
	before := 0 // the record after which an act of this signature was done
	if dir == ApprovalsDir {
		_, rest, _ := strings.Cut(name, "-")
		number, _, _ := strings.Cut(rest, "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			n = 0 // of no shape that counts: CheckSigned refuses it
		}
		before = n
	}
	switch {
	case dir == "":
		return ""
	case a.Request != nil && before < a.requestN && !a.asked[path]:
		return KindRequest
	case a.Counter != nil && strings.HasPrefix(name, ApproveException+"-"):
		return "" // one of an exception made since the request is due at the close
	case a.Counter != nil && before < a.CounterHead.N && !a.counted[path]:
		return KindCountersignature
	}
	return ""
}

// InTime are the same people, of whose signatures only those count that were there
// before what they approve: see Afterwards.
func (p *People) InTime(a *Account) *People {
	counts := p.counts
	return p.Counting(func(k *sshsig.Key, file string) bool {
		return a.Afterwards(file) == "" && (counts == nil || counts(k, file))
	})
}

// Lists says that a record lists the file of people's signatures.
func (a *Account) Lists(path string) bool {
	files := a.Request.Files
	if a.Counter != nil {
		files = a.Counter.Files
	}
	return slices.ContainsFunc(files, func(f File) bool { return f.Path == path })
}
