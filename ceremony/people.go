package ceremony

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// People are those whose signatures count: a plan's, or those a policy pins.
type People struct {
	list []pinned
	m    int // least number of officers
}

type pinned struct {
	name, role string
	key        *sshsig.Key
}

// NewPeople reads the people's keys. m is how many officers must agree.
func NewPeople(list []Person, m int) (*People, error) {
	p := &People{m: m}
	for _, one := range list {
		k, err := sshsig.ParsePublicKey(one.Key)
		if err != nil {
			return nil, fmt.Errorf("person %q: key %w", one.Name, err)
		}
		p.list = append(p.list, pinned{one.Name, one.Role, k})
	}
	return p, nil
}

// Threshold is how many officers must agree.
func (p *People) Threshold() int { return p.m }

// RoleOf says who has the key; ok is false where nobody has.
func (p *People) RoleOf(k *sshsig.Key) (name, role string, ok bool) {
	for _, one := range p.list {
		if one.key.Fingerprint() == k.Fingerprint() {
			return one.name, one.role, true
		}
	}
	return "", "", false
}

// Voice is a verified signature of one of the people.
type Voice struct{ Name, Role string }

// verify says who signed a text. A signature by a key that isn't one of the
// people's is nobody's (ok is false) and doesn't count; an invalid one is an
// error whoever's it is.
func (p *People) verify(file string, s Signing, namespace string) (v Voice, ok bool, err error) {
	sig, err := sshsig.Parse(file+".sig", s.Signature)
	if err != nil {
		return v, false, err
	}
	if err := sig.Verify(namespace, s.Text); err != nil {
		return v, false, strict.Errorf(file+".sig", "%v", err)
	}
	v.Name, v.Role, ok = p.RoleOf(sig.Key())
	return v, ok, nil
}

// PlanApprovals says which officers approved exactly these plan bytes.
func (p *People) PlanApprovals(plan *Plan, signatures []Signing) ([]string, error) {
	signatures = slices.Clone(signatures)
	for i := range signatures {
		signatures[i].Name = PlanApprovalsDir + "/" + signatures[i].Name
	}
	return p.FileApprovals(plan.Raw(), SignNamespace(NamespacePlan, plan.Mode), signatures)
}

// FileApprovals says which officers signed exactly these bytes of a file, in
// an SSHSIG namespace. The signings' texts are not looked at.
func (p *People) FileApprovals(text []byte, namespace string, signatures []Signing) ([]string, error) {
	var officers []string
	for _, s := range signatures {
		s.Text = text
		v, ok, err := p.verify(s.Name, s, namespace)
		if err != nil {
			return nil, err
		}
		if ok && v.Role == Officer && !slices.Contains(officers, v.Name) {
			officers = append(officers, v.Name)
		}
	}
	slices.Sort(officers)
	return officers, nil
}

// Approvals says which officers approved the act that follows the head.
func (p *People) Approvals(want Approval, signatures []Signing) ([]string, error) {
	voices, err := p.Voices(want, signatures)
	var officers []string
	for _, v := range voices {
		if v.Role == Officer {
			officers = append(officers, v.Name)
		}
	}
	return officers, err
}

// Voices says who signed an approval's text, each in their own role, by name.
func (p *People) Voices(want Approval, signatures []Signing) ([]Voice, error) {
	var voices []Voice
	for _, s := range signatures {
		file := "approvals/" + s.Name
		a, err := ParseApproval(file, s.Text)
		if err != nil {
			return nil, err
		}
		v, ok, err := p.verify(file, s, a.Namespace())
		if err != nil {
			return nil, err
		}
		mine := want
		mine.Role = v.Role
		if ok && *a == mine && !slices.Contains(voices, v) {
			voices = append(voices, v)
		}
	}
	slices.SortFunc(voices, func(x, y Voice) int { return strings.Compare(x.Name, y.Name) })
	return voices, nil
}

// Verdicts is what people said of a stage.
type Verdicts struct {
	Officers, Witnesses, Auditors []string
	Against                       []string // who does not agree
	Exceptions                    bool     // somebody agreed with exceptions
	Said                          []Said   // every verdict that counts, as it was signed
	Silent                        []string // of whom there is none
}

// Said is what one person signed of a stage.
type Said struct {
	Voice
	Verdict string // agree, agree-with-exceptions 2,5, do-not-agree
}

// Signoffs says who signed a stage off.
func (p *People) Signoffs(want Signoff, signatures []Signing) (*Verdicts, error) {
	v := &Verdicts{}
	said := map[string]bool{}
	for _, s := range signatures {
		file := "signoffs/" + want.Stage + "/" + s.Name
		o, err := ParseSignoff(file, s.Text)
		if err != nil {
			return nil, err
		}
		who, ok, err := p.verify(file, s, o.Namespace())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		mine := want
		mine.Role, mine.Verdict, mine.Exceptions = who.Role, o.Verdict, nil
		got := *o
		got.Exceptions = nil
		if fmt.Sprint(got) != fmt.Sprint(mine) {
			return nil, strict.Errorf(file, "%s signed off something else than this stage of this ceremony", who.Name)
		}
		for _, n := range o.Exceptions {
			if !slices.Contains(want.Exceptions, n) {
				return nil, strict.Errorf(file, "%s agrees with exception %d, and there is none", who.Name, n)
			}
		}
		v.Said = append(v.Said, Said{who, o.verdict()})
		if o.Verdict == DoNotAgree {
			v.Against = append(v.Against, who.Name)
		}
		v.Exceptions = v.Exceptions || o.Verdict == AgreeWithExceptions
		if !said[who.Name] && o.Verdict != DoNotAgree {
			said[who.Name] = true
			v.add(who)
		}
	}
	for _, q := range p.list {
		if !slices.ContainsFunc(v.Said, func(s Said) bool { return s.Name == q.name }) {
			v.Silent = append(v.Silent, q.name)
		}
	}
	return v, nil
}

func (v *Verdicts) add(who Voice) {
	switch who.Role {
	case Officer:
		v.Officers = append(v.Officers, who.Name)
	case Witness:
		v.Witnesses = append(v.Witnesses, who.Name)
	case Auditor:
		v.Auditors = append(v.Auditors, who.Name)
	}
}

// Passed says why a stage is not signed off: nil where m officers, a witness
// and an auditor agree and nobody disagrees.
func (v *Verdicts) Passed(m int) error {
	switch {
	case len(v.Against) > 0:
		return fmt.Errorf("%s does not agree", v.Against[0])
	case len(v.Officers) < m:
		return fmt.Errorf("%d of %d officers agree", len(v.Officers), m)
	case len(v.Witnesses) == 0:
		return fmt.Errorf("no witness has signed")
	case len(v.Auditors) == 0:
		return fmt.Errorf("no auditor has signed")
	}
	return nil
}
