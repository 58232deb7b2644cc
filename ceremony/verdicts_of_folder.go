package ceremony

// ReadAbortVerdicts are those of the plan's people who signed that a ceremony ended
// with its abort, by part.
func ReadAbortVerdicts(dir string, a *Account) (*Verdicts, error) {
	if a.Abort == nil {
		return &Verdicts{}, nil
	}
	people, list, err := readSignings(dir, a, ApprovalsDir)
	if err != nil {
		return nil, err
	}
	voices, err := people.Signers(a.AbortApproval(), list)
	return AbortVerdicts(voices), err
}

// ReadVerdicts is what each of the plan's people signed of a stage in a ceremony's
// folder, by name. Whoever signed twice is there with the verdict that weighs
// more: "do not agree" before any other.
func ReadVerdicts(dir string, a *Account, stage string) (map[string]string, error) {
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
