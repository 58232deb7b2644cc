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

// The folders of what people signed. Each signed text lies beside its signature, whose
// name has .sig at the end. The key says who signed, not the file's name.
const (
	PlanApprovalsDir  = "plan-approvals"
	ApprovalsDir      = "approvals"
	ReleaseSignoffDir = "signoffs/release"
	CloseSignoffDir   = "signoffs/close"
)

// SignoffDir is the folder of a stage's sign-offs.
func SignoffDir(stage string) string { return "signoffs/" + stage }

const SigSuffix = ".sig"

// Signing is a text and its armoured SSHSIG signature, two files of a package.
type Signing struct {
	Name      string // of the text's file, without folder; says nothing about who signed
	Text      []byte
	Signature []byte

	read *judged // shared by every copy; nil if Signings didn't make it
}

// judged caches what was read of a signing. Signings makes one for each signing of its
// list, so that each text is parsed and each signature verified once, although a
// verifier asks several times, with different people. A list is not safe for use by
// several goroutines.
type judged struct {
	approval  *Approval
	signoff   *Signoff
	signature *sshsig.Signature // verified over text, in namespace
	text      [32]byte          // SHA-256
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

// verify reads the signature and verifies it over a text: the signing's own, or the
// plan that it approves. A failure is not cached, since it ends the verification.
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

// Signings takes a folder's signatures and their texts out of files by path. Plan
// approvals have no text of their own: they sign the plan.
func Signings(files map[string][]byte, dir string) ([]Signing, error) {
	type pair struct{ text, signature bool } // whether the file exists, even if empty
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
			return nil, strict.Errorf(path, "has no signature beside it").WithHint("let the person sign it, or move it into private")
		case p.text && dir == PlanApprovalsDir:
			return nil, strict.Errorf(path, "is a text of its own; signatures in this folder sign the plan").WithHint("move it away")
		case !p.text && dir != PlanApprovalsDir:
			return nil, strict.Errorf(path+SigSuffix, "signs a text that is not beside it")
		}
		list = append(list, Signing{Name: base, Text: files[path], Signature: files[path+SigSuffix], read: &judged{}})
	}
	return list, nil
}

// slowSigning is how many signings a signature by a key on P-384 counts as: to verify
// it takes eight times as long as one by Ed25519.
const slowSigning = 4

// CheckSignings refuses files with more signatures of people than a ceremony may have.
// It verifies none of them.
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

// CheckSigned checks every file in the folders of what people signed, whoever signed
// it and whether or not it counts: the name has the right form, the text and its
// signature are both there, the text is about this ceremony's records, and the
// signature is valid. So these folders can't hold a file that nobody checked. The
// error has the first fault of each folder.
//
// Whose signatures count is for People to say. read returns a folder's signings as
// Signings does; if it returns the same ones each time, they are verified once.
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
		return strict.Errorf(file, "its name can't be that of a signature: it %v", err)
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

// checkApproval demands an approval of this ceremony, over one of its records. The act
// need not have followed: people may approve something that is then not done.
func (a *Account) checkApproval(file string, s Signing) (namespace string, err error) {
	p, err := s.approval(file)
	if err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(s.Name, p.file()); !ok || name == "" {
		return "", strict.Errorf(file, "approves %q over record %d; its name must be %sNAME", p.Act, p.Head.N, p.file())
	}
	if p.Mode != a.Plan.Mode || p.Plan != a.Plan.Digest() || a.Open == nil || p.Ceremony != a.Open.Ceremony {
		return "", strict.Errorf(file, "approves an act of another ceremony")
	}
	if hash, ok := a.record(p.Head.N); !ok || hash != p.Head.Hash {
		return "", strict.Errorf(file, "approves over a record %d that is not this transcript's", p.Head.N)
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
			return "approves " + p.Act + " and names no subject"
		}
	case ApproveException:
		if p.Subject != p.Head.Hash || !a.exceptional[p.Head.N] {
			return "accepts an exception that is not on the record"
		}
	case ApproveAbort:
		roles = append(roles, Witness, Auditor)
		if a.Abort == nil || p.Head != (Head{a.Head, a.N}) || p.Subject != a.Head {
			return "attests an abort that is not the last record"
		}
	default:
		if p.Subject != [32]byte{} {
			return "names a subject, and an approval of " + p.Act + " has none"
		}
	}
	if !slices.Contains(roles, p.Role) {
		return "is signed as " + p.Role + "; " + p.Act + " is approved as " + strings.Join(roles, ", ")
	}
	return ""
}

// checkSignoff demands a sign-off of the folder's stage of this ceremony.
func (a *Account) checkSignoff(file, dir string, s Signing) (namespace string, err error) {
	stage := strings.TrimPrefix(dir, SignoffDir(""))
	o, err := s.signoff(file)
	if err != nil {
		return "", err
	}
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return "", strict.Errorf(file, "signs off a stage that the ceremony has not reached: %v", err)
	}
	if err := want.met(o); err != nil {
		return "", strict.Errorf(file, "%v", err)
	}
	if o.Role != Officer && o.Role != Witness && o.Role != Auditor {
		return "", strict.Errorf(file, "is signed as %q, which is none of officer, witness, auditor", o.Role)
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

// SignedDirs are the folders of what people sign before the bundle is made. The
// records "request" and "countersignature" list their files with digests, so that the
// record shows that each signature existed before it.
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

// checkSigned demands that a record's list of files is sorted, distinct, only of
// SignedDirs, and has every file of the list before it unchanged.
func checkSigned(list, before []File) error {
	last, has := "", map[File]bool{}
	for _, f := range list {
		if f.Path <= last {
			return fmt.Errorf("its files are not sorted and distinct: %q comes after %q", f.Path, last)
		}
		last, has[f] = f.Path, true
		if !IsSigned(f.Path) {
			return fmt.Errorf("it lists %q, which is not a file in %s", f.Path, strings.Join(SignedDirs, ", "))
		}
	}
	for _, f := range before {
		if !has[f] {
			return fmt.Errorf("%q, which the request lists, is missing or has another digest", f.Path)
		}
	}
	return nil
}

// IsSigned says whether a path is one in SignedDirs.
func IsSigned(path string) bool {
	return slices.ContainsFunc(SignedDirs, func(dir string) bool {
		name, ok := strings.CutPrefix(path, dir+"/")
		return ok && strict.CheckToken(name) == nil && name != "." && name != ".."
	})
}

// Dated are the files of people's signatures that the bundle commits to, through the
// countersignature's record: they existed before the bundle. By path, with SHA-256.
func (a *Account) Dated() map[string][32]byte {
	dated := map[string][32]byte{}
	if a.Counter != nil {
		for _, f := range a.Counter.Files {
			dated[f.Path] = f.SHA256
		}
	}
	return dated
}

// Afterwards says whether a signature came too late: it returns the kind of the record
// that should list the file of the signature and doesn't. That is "request" for
// signatures about records before the request, "countersignature" for those about
// records between the two. Empty if the record lists the file, or need not. An act
// that was approved only afterwards was done without approval.
func (a *Account) Afterwards(path string) Kind {
	dir, name := "", ""
	for _, d := range SignedDirs {
		if rest, ok := strings.CutPrefix(path, d+"/"); ok {
			dir, name = d, rest
		}
	}
	before := 0 // the number of the record that an approval is over
	if dir == ApprovalsDir {
		_, rest, _ := strings.Cut(name, "-")
		number, _, _ := strings.Cut(rest, "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			n = 0 // CheckSigned refuses such a name
		}
		before = n
	}
	switch {
	case dir == "":
		return ""
	case a.Request != nil && before < a.requestN && !a.asked[path]:
		return KindRequest
	case a.Counter != nil && strings.HasPrefix(name, ApproveException+"-"):
		return "" // officers may accept an exception made since the request until the close
	case a.Counter != nil && before < a.CounterHead.N && !a.counted[path]:
		return KindCountersignature
	}
	return ""
}

// InTime returns the same people, with only those of their signatures that did not come
// too late: see Afterwards.
func (p *People) InTime(a *Account) *People {
	counts := p.counts
	return p.Counting(func(k *sshsig.Key, file string) bool {
		return a.Afterwards(file) == "" && (counts == nil || counts(k, file))
	})
}

// Lists says whether the request or, if there is one, the countersignature lists a
// file.
func (a *Account) Lists(path string) bool {
	files := a.Request.Files
	if a.Counter != nil {
		files = a.Counter.Files
	}
	return slices.ContainsFunc(files, func(f File) bool { return f.Path == path })
}
