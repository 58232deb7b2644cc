package ceremony

import (
	"fmt"
	"slices"
	"strings"
)

// takeAbsent judges whom an exception names as absent: people of the plan who
// look on. An officer needs none: m of them are enough.
func (a *Account) takeAbsent(c *Exception) error {
	if c.Absent != nil && len(c.Absent) == 0 {
		return fmt.Errorf("it names nobody as absent; then the list is left out")
	}
	for i, name := range c.Absent {
		who := slices.IndexFunc(a.Plan.People, func(p Person) bool { return p.Name == name })
		switch {
		case who < 0:
			return fmt.Errorf("it says that %s is absent, whom the plan does not name", name)
		case a.Plan.People[who].Role == Officer:
			return fmt.Errorf("it says that %s is absent, who is an officer: witnesses and auditors are named so", name)
		case slices.Contains(c.Absent[:i], name):
			return fmt.Errorf("it says twice that %s is absent", name)
		}
	}
	return nil
}

// AbsentText says whom the exception names as absent; empty where it is nobody.
func (c *Exception) AbsentText() string {
	if len(c.Absent) == 0 {
		return ""
	}
	return "; no verdict by " + strings.Join(c.Absent, ", ")
}

// excused are those who give no verdict on a stage, by exceptions that m
// officers accepted: recorded before the request for the release, and after it
// for the close. Who was away for one may have come back for the other.
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
		if (need.Head.N < request) == (stage == StageRelease) && len(acts.Officers(need)) >= m {
			names = append(names, absent[i]...)
		}
	}
	return names
}

// SignedOff says why a stage is not signed off: nil where the people whose
// verdicts these are pass it, none of the plan's is against it, and each of its
// witnesses and auditors gave a verdict or is named as absent by an exception
// that officers accepted. The plan's people are found by the plan's keys, whoever
// else pins them: a verdict can be left out of a folder, and then its absence has
// to be somebody's signed word. acts are approvals by the people whose verdicts
// these are.
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

// UnheardError says whose verdicts a stage lacks, which an accepted exception
// could excuse.
type UnheardError struct{ Names []string }

func (e *UnheardError) Error() string {
	return fmt.Sprintf("no verdict by %s, and no exception that officers accepted names them as absent", strings.Join(e.Names, ", "))
}

// AbortVerdicts are those who signed an abort, by part.
func AbortVerdicts(signers []Signer) *Verdicts {
	v := &Verdicts{}
	for _, one := range signers {
		v.add(one)
	}
	return v
}

// Attested says why an abort is not even attested: nil where two people signed
// it, one of them an officer. Anybody alone, and those who only look on, could
// cut a ceremony short that went on without them. Proven is an abort that
// Enough people signed: those who could have released its keys.
func (v *Verdicts) Attested() error {
	switch n := len(v.Officers) + len(v.Witnesses) + len(v.Auditors); {
	case n == 0:
		return fmt.Errorf("nobody signed it: that it ended so is the record's word alone")
	case len(v.Officers) == 0:
		return fmt.Errorf("no officer signed it: who only looks on can't say alone that it ended so")
	case n < 2:
		return fmt.Errorf("%s alone signed it, and it takes a second person", v.Officers[0])
	}
	return nil
}

// Names are all who agree, officers first.
func (v *Verdicts) Names() []string { return slices.Concat(v.Officers, v.Witnesses, v.Auditors) }

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

// Passed says why a stage is not signed off: nil where m officers, a witness
// and an auditor agree and nobody disagrees.
func (v *Verdicts) Passed(m int) error {
	if len(v.Against) > 0 {
		return fmt.Errorf("%s does not agree", v.Against[0])
	}
	return v.Enough(m)
}

// Enough says why those who agree are too few: nil where they are m officers, a
// witness and an auditor.
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
