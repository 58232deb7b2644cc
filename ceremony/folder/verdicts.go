package folder

import "github.com/fleetctl/fleetctl/ceremony"

// ReadAbortVerdicts are those of the plan's people who signed the abort, by role.
func ReadAbortVerdicts(dir string, a *ceremony.Account) (*ceremony.Verdicts, error) {
	if a.Abort == nil {
		return &ceremony.Verdicts{}, nil
	}
	people, list, err := readSignings(dir, a, ceremony.ApprovalsDir)
	if err != nil {
		return nil, err
	}
	signers, err := people.Signers(a.AbortApproval(), list)
	return ceremony.AbortVerdicts(signers), err
}

// ReadVerdicts are the verdicts that the plan's people signed on a stage, by name. Of a
// person with several, "do not agree" counts before any other.
func ReadVerdicts(dir string, a *ceremony.Account, stage string) (map[string]string, error) {
	want, err := a.WantedSignoff(stage)
	if err != nil {
		return nil, nil // the ceremony has not reached this stage
	}
	people, err := a.People()
	if err != nil {
		return nil, err
	}
	list, err := ReadSignings(dir, ceremony.SignoffDir(stage))
	if err != nil {
		return nil, err
	}
	v, err := people.Signoffs(want, list)
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	for _, s := range v.Said {
		if said[s.Name] != ceremony.DoNotAgree {
			said[s.Name] = s.Verdict
		}
	}
	return said, nil
}
