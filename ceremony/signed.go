package ceremony

import (
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

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
	for _, dir := range append(slices.Clone(signedDirs), CloseSignoffDir) {
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
