package ceremony

import (
	"fmt"
	"slices"
)

// AbortedBy are those of the plan's people who signed that a ceremony ended
// with its abort, by part.
func AbortedBy(dir string, a *Account) (*Verdicts, error) {
	if a.Abort == nil {
		return &Verdicts{}, nil
	}
	people, list, err := readVoices(dir, a, ApprovalsDir)
	if err != nil {
		return nil, err
	}
	voices, err := people.Voices(a.AbortApproval(), list)
	return OfAbort(voices), err
}

// OfAbort are the voices of those who signed an abort, by part.
func OfAbort(voices []Voice) *Verdicts {
	v := &Verdicts{}
	for _, one := range voices {
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

// SaidIn is what each of the plan's people signed of a stage in a ceremony's
// folder, by name. Whoever signed twice is there with the verdict that weighs
// more: "do not agree" before any other.
func SaidIn(dir string, a *Account, stage string) (map[string]string, error) {
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return nil, nil // the ceremony didn't come to it
	}
	people, err := NewPeople(a.Plan.People, a.Plan.Threshold)
	if err != nil {
		return nil, err
	}
	list, err := ReadSignings(dir, SignoffDir(stage))
	if err != nil {
		return nil, err
	}
	v, err := people.Signoffs(want, list)
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	for _, s := range v.Said {
		if said[s.Name] != DoNotAgree {
			said[s.Name] = s.Verdict
		}
	}
	return said, nil
}
