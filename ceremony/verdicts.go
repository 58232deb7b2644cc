package ceremony

// AbortedBy are those of the plan's people who signed that a ceremony ended
// with its abort.
func AbortedBy(dir string, a *Account) ([]Voice, error) {
	if a.Abort == nil {
		return nil, nil
	}
	people, err := NewPeople(a.Plan.People, a.Plan.Threshold)
	if err != nil {
		return nil, err
	}
	list, err := ReadSignings(dir, ApprovalsDir)
	if err != nil {
		return nil, err
	}
	return people.Voices(a.AbortApproval(), list)
}

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
