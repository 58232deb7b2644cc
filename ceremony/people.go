package ceremony

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// People are those whose signatures count: a plan's people, or those that a policy
// pins.
type People struct {
	list  []pinned
	byKey map[string]int // index into list, by the key's fingerprint
	m     int            // how many officers must agree

	counts func(k *sshsig.Key, file string) bool // nil: every signature of theirs counts
}

type pinned struct {
	name, role string
	key        *sshsig.Key
}

// NewPeople reads the people's keys. m is how many officers must agree. A name may
// have several keys, and its signatures count once. A key may stand under one name
// only, also if it is once a FIDO2 key and once not: else one person would count
// twice.
func NewPeople(list []Person, m int) (*People, error) {
	p := &People{m: m, byKey: map[string]int{}}
	var roster keys.Roster
	roles := map[string]string{}
	for _, one := range list {
		k, err := sshsig.ParsePublicKey(one.Key)
		if err != nil {
			return nil, fmt.Errorf("person %q: key %w", one.Name, err)
		}
		if err := roster.Add(keys.Holder{Part: keys.PartPerson, Name: one.Name}, k.Points()...); err != nil {
			return nil, err
		}
		if role, ok := roles[one.Name]; ok && role != one.Role {
			return nil, fmt.Errorf("person %q is %s and %s; each person has one role", one.Name, role, one.Role)
		}
		roles[one.Name] = one.Role
		p.byKey[k.Fingerprint()] = len(p.list)
		p.list = append(p.list, pinned{one.Name, one.Role, k})
	}
	return p, nil
}

// PeopleOf are a plan's people, with its threshold of officers.
func PeopleOf(p *Plan) (*People, error) { return NewPeople(p.People, p.Threshold) }

// People are the plan's people.
func (a *Account) People() (*People, error) {
	if a.people != nil {
		return a.people, nil
	}
	people, err := PeopleOf(a.Plan)
	a.people = people
	return people, err
}

// Threshold is how many officers must agree.
func (p *People) Threshold() int { return p.m }

// RoleOf says who has the key; ok is false if nobody has.
func (p *People) RoleOf(k *PersonKey) (name, role string, ok bool) {
	i, ok := p.byKey[k.Fingerprint()]
	if !ok {
		return "", "", false
	}
	return p.list[i].name, p.list[i].role, true
}

// Signer is one of the people, whose signature was verified.
type Signer struct{ Name, Role string }

// verify says who signed a text. A signature by a key of none of the people doesn't
// count: ok is false. An invalid signature is an error, whoever's it is.
func (p *People) verify(file string, s Signing, text []byte, namespace string) (v Signer, ok bool, err error) {
	sig, err := s.verify(file, text, namespace)
	if err != nil {
		return v, false, err
	}
	v.Name, v.Role, ok = p.RoleOf(sig.Key())
	if ok && p.counts != nil && !p.counts(sig.Key(), file+SigSuffix) {
		return Signer{}, false, nil
	}
	return v, ok, nil
}

// Counting returns the same people, with only those of their signatures that counts
// accepts by key and file. The others don't count, like a stranger's.
func (p *People) Counting(counts func(k *PersonKey, file string) bool) *People {
	only := *p
	only.counts = counts
	return &only
}

// PlanApprovals says which officers approved exactly this plan's bytes.
func (p *People) PlanApprovals(plan *Plan, signatures []Signing) ([]string, error) {
	signatures = slices.Clone(signatures)
	for i := range signatures {
		signatures[i].Name = PlanApprovalsDir + "/" + signatures[i].Name
	}
	return p.FileApprovals(plan.Raw(), SignNamespace(NamespacePlan, plan.Mode), signatures)
}

// FileApprovals says which officers signed exactly this text in an SSHSIG namespace.
// It doesn't look at the texts in the signings.
func (p *People) FileApprovals(text []byte, namespace string, signatures []Signing) ([]string, error) {
	var officers []string
	for _, s := range signatures {
		v, ok, err := p.verify(s.Name, s, text, namespace)
		if err != nil {
			return nil, err
		}
		if ok && v.Role == Officer {
			officers = append(officers, v.Name)
		}
	}
	slices.Sort(officers)
	return slices.Compact(officers), nil
}

// GivenApprovals has the signers of a folder's approvals, by the text that they signed
// without its role.
type GivenApprovals struct{ signers map[Approval][]Signer }

// ReadApprovals reads a folder of approvals. It parses and verifies each once, however
// many acts are asked for afterwards.
func (p *People) ReadApprovals(signatures []Signing) (*GivenApprovals, error) {
	acts := &GivenApprovals{map[Approval][]Signer{}}
	for _, s := range signatures {
		file := ApprovalsDir + "/" + s.Name
		a, err := s.approval(file)
		if err != nil {
			return nil, err
		}
		v, ok, err := p.verify(file, s, s.Text, a.Namespace())
		if err != nil {
			return nil, err
		}
		if ok && a.Role == v.Role { // a signature in another role than one's own doesn't count
			of := *a
			of.Role = ""
			acts.signers[of] = append(acts.signers[of], v)
		}
	}
	for of, list := range acts.signers {
		slices.SortFunc(list, func(x, y Signer) int {
			return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Role, y.Role))
		})
		acts.signers[of] = slices.Compact(list)
	}
	return acts, nil
}

// Signers says who signed an approval's text, sorted by name.
func (a *GivenApprovals) Signers(want Approval) []Signer {
	want.Role = ""
	return slices.Clone(a.signers[want])
}

// Officers says which officers approved an act.
func (a *GivenApprovals) Officers(want Approval) (officers []string) {
	for _, v := range a.Signers(want) {
		if v.Role == Officer {
			officers = append(officers, v.Name)
		}
	}
	return officers
}

// Approvals says which officers approved one act. To ask about several acts, use
// ReadApprovals.
func (p *People) Approvals(want Approval, signatures []Signing) ([]string, error) {
	acts, err := p.ReadApprovals(signatures)
	if err != nil {
		return nil, err
	}
	return acts.Officers(want), nil
}

// Signers says who signed one approval's text. To ask about several, use
// ReadApprovals.
func (p *People) Signers(want Approval, signatures []Signing) ([]Signer, error) {
	acts, err := p.ReadApprovals(signatures)
	if err != nil {
		return nil, err
	}
	return acts.Signers(want), nil
}

// Signoffs returns the verdicts that these people signed on a stage.
func (p *People) Signoffs(want Signoff, signatures []Signing) (*Verdicts, error) {
	v := &Verdicts{}
	counted, spoke := map[string]bool{}, map[string]bool{}
	for _, s := range signatures {
		file := SignoffDir(want.Stage) + "/" + s.Name
		o, err := s.signoff(file)
		if err != nil {
			return nil, err
		}
		who, ok, err := p.verify(file, s, s.Text, o.Namespace())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := want.met(o); err != nil {
			return nil, strict.Errorf(file, "%v", err)
		}
		if o.Role != who.Role {
			return nil, strict.Errorf(file, "%s, %s, signed it as %s", who.Name, who.Role, o.Role)
		}
		spoke[who.Name] = true
		v.Said = append(v.Said, Said{who, o.verdict()})
		if o.Verdict == DoNotAgree {
			v.Against = append(v.Against, who.Name)
		}
		v.Exceptions = v.Exceptions || o.Verdict == AgreeWithExceptions
		if !counted[who.Name] && o.Verdict != DoNotAgree {
			counted[who.Name] = true
			v.add(who)
		}
	}
	for _, q := range p.list {
		if !spoke[q.name] {
			v.Silent = append(v.Silent, q.name)
		}
	}
	return v, nil
}

// Names for the types of keys in this package's signatures, so that programs outside
// this module can use them.
type (
	// Algorithm names a key's kind, and with it how it signs or agrees.
	Algorithm = bundle.Algorithm

	// PersonKey is the OpenSSH key by which a person signs.
	PersonKey = sshsig.Key
)
