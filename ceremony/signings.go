package ceremony

import (
	"crypto/sha256"
	"maps"
	"slices"
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
