package ceremony

import (
	"fmt"
	"slices"
	"strings"
)

// takeAbsent checks that an exception names only witnesses and auditors of the plan as
// absent. Officers need not be named: a stage takes the threshold of them, not all.
func (a *Account) takeAbsent(c *Exception) error {
	if c.Absent != nil && len(c.Absent) == 0 {
		return fmt.Errorf("its list of absent people is empty; then the list is left out")
	}
	for i, name := range c.Absent {
		who := slices.IndexFunc(a.Plan.People, func(p Person) bool { return p.Name == name })
		switch {
		case who < 0:
			return fmt.Errorf("it says that %s is absent, whom the plan does not name", name)
		case a.Plan.People[who].Role == Officer:
			return fmt.Errorf("it says that %s is absent, who is an officer; only witnesses and auditors are named as absent", name)
		case slices.Contains(c.Absent[:i], name):
			return fmt.Errorf("it says twice that %s is absent", name)
		}
	}
	return a.oneIsLeft(c)
}

// oneIsLeft refuses an exception after which no witness or no auditor would be left for
// the stage: without one of each it is never passed.
func (a *Account) oneIsLeft(c *Exception) error {
	named, number := slices.Clone(c.Absent), 0
	for _, need := range a.Needs {
		switch need.Act {
		case ApproveRequest:
			named = slices.Clone(c.Absent) // those before were absent from the release
		case ApproveException:
			named, number = append(named, a.Exceptions[number].Absent...), number+1
		}
	}
	for _, role := range []string{Witness, Auditor} {
		var all []string
		for _, p := range a.Plan.People {
			if p.Role == role {
				all = append(all, p.Name)
			}
		}
		isAbsent := func(name string) bool { return slices.Contains(named, name) }
		switch {
		case !slices.ContainsFunc(c.Absent, func(name string) bool { return slices.Contains(all, name) }):
		case slices.ContainsFunc(all, func(name string) bool { return !isAbsent(name) }):
		case len(all) == 1:
			return fmt.Errorf("%s is the only %s; one has to be there", all[0], role)
		default:
			return fmt.Errorf("%s are all that the plan has as %s; one has to be there", strings.Join(all, ", "), role)
		}
	}
	return nil
}

// AbsentText says in words whom the exception names as absent; empty if nobody.
func (c *Exception) AbsentText() string {
	if len(c.Absent) == 0 {
		return ""
	}
	return "; no verdict by " + strings.Join(c.Absent, ", ")
}

// excused are the people named as absent by exceptions that m officers accepted. For
// the release only exceptions before the request count, for the close only those after
// it: somebody absent at one stage may be present at the other. A ceremony that destroys
// keys has no release, and all of its exceptions are the close's.
func (a *Account) excused(stage string, acts *GivenApprovals, m int) (names []string) {
	request := a.N + 1
	number := 0
	var mine []Approval
	var absent [][]string
	for _, need := range a.Needs {
		switch need.Act {
		case ApproveRequest:
			request = need.Head.N + 1
		case ApproveException:
			mine, absent = append(mine, need), append(absent, a.Exceptions[number].Absent)
			number++
		}
	}
	for i, need := range mine {
		release := need.Head.N < request && a.Plan.Destroys == nil
		if release == (stage == StageRelease) && len(acts.Officers(need)) >= m {
			names = append(names, absent[i]...)
		}
	}
	return names
}

// SignedOff says why a stage is not signed off. It returns nil if the people in said,
// whom the caller trusts, pass the stage; nobody of the plan disagrees; and each of the
// plan's witnesses and auditors gave a verdict or is named as absent by an exception
// that m officers accepted. The plan's people are known by the plan's keys, whomever
// the caller trusts: somebody could remove a verdict from the folder, so officers must
// have signed that it is missing. acts are approvals by the people whom the caller
// trusts.
func (a *Account) SignedOff(stage string, said *Verdicts, signoffs []Signing, acts *GivenApprovals, m int) error {
	if err := said.Passed(m); err != nil {
		return err
	}
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return err
	}
	people, err := a.People()
	if err != nil {
		return err
	}
	all, err := people.Signoffs(want, signoffs)
	if err != nil {
		return err
	}
	planned, err := people.InTime(a).Signoffs(want, signoffs)
	if err != nil {
		return err
	}
	if len(all.Against) > 0 {
		return fmt.Errorf("%s does not agree", all.Against[0])
	}
	excused := a.excused(stage, acts, m)
	var unheard []string
	for _, p := range a.Plan.People {
		if p.Role != Officer && slices.Contains(planned.Silent, p.Name) && !slices.Contains(excused, p.Name) {
			unheard = append(unheard, p.Name)
		}
	}
	if len(unheard) > 0 {
		return &UnheardError{unheard}
	}
	return nil
}

// UnheardError names the people whose verdicts a stage lacks. An exception that names
// them as absent, once accepted, makes up for it.
type UnheardError struct{ Names []string }

func (e *UnheardError) Error() string {
	return fmt.Sprintf("no verdict by %s, and no exception that officers accepted names them as absent", strings.Join(e.Names, ", "))
}

// AbortVerdicts are those who signed an abort, by role.
func AbortVerdicts(signers []Signer) *Verdicts {
	v := &Verdicts{}
	for _, one := range signers {
		v.add(one)
	}
	return v
}

// Attested says why an abort is not attested. It returns nil if two people signed it,
// one of them an officer: one person alone, or witnesses and auditors without an
// officer, could invent an abort of a ceremony that went on. An abort is proven if
// Enough people signed it, as many as could have released the keys.
func (v *Verdicts) Attested() error {
	switch n := len(v.Officers) + len(v.Witnesses) + len(v.Auditors); {
	case n == 0:
		return fmt.Errorf("nobody signed it, so only the record says that the ceremony ended this way")
	case len(v.Officers) == 0:
		return fmt.Errorf("no officer signed it; witnesses and auditors alone can't attest an abort")
	case n < 2:
		return fmt.Errorf("%s alone signed it; a second person must sign", v.Officers[0])
	}
	return nil
}

// Names are all who agree, officers first.
func (v *Verdicts) Names() []string { return slices.Concat(v.Officers, v.Witnesses, v.Auditors) }

// Verdicts are the verdicts that people signed on a stage.
type Verdicts struct {
	Officers, Witnesses, Auditors []string
	Against                       []string // those who do not agree
	Exceptions                    bool     // somebody agreed with exceptions
	Said                          []Said   // every verdict that counts, as it was signed
	Silent                        []string // those who signed no verdict
}

// Said is the verdict that one person signed.
type Said struct {
	Signer
	Verdict string // agree, agree-with-exceptions 2,5, do-not-agree
}

func (v *Verdicts) add(who Signer) {
	switch who.Role {
	case Officer:
		v.Officers = append(v.Officers, who.Name)
	case Witness:
		v.Witnesses = append(v.Witnesses, who.Name)
	case Auditor:
		v.Auditors = append(v.Auditors, who.Name)
	}
}

// Passed says why a stage is not passed. It returns nil if m officers, a witness and
// an auditor agree, and nobody disagrees.
func (v *Verdicts) Passed(m int) error {
	if len(v.Against) > 0 {
		return fmt.Errorf("%s does not agree", v.Against[0])
	}
	return v.Enough(m)
}

// Enough says why those who agree are too few. It returns nil if they include m
// officers, a witness and an auditor.
func (v *Verdicts) Enough(m int) error {
	switch {
	case len(v.Officers) < m:
		return fmt.Errorf("%d of %d officers agree", len(v.Officers), m)
	case len(v.Witnesses) == 0:
		return fmt.Errorf("no witness has signed")
	case len(v.Auditors) == 0:
		return fmt.Errorf("no auditor has signed")
	}
	return nil
}
