package fleetctl_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// judgeSignature judges a person's signature over a message, in a namespace.
func judgeSignature(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "message", "signature")
	if err != nil {
		return judged{}, err
	}
	s, refused := sshsig.Parse("message.sig", x[1])
	if refused == nil {
		refused = s.Verify(c.With["namespace"], x[0])
	}
	return refusal(refused), nil
}

// judgeApprovals judges what people signed in a ceremony that was closed, by the
// plan's own people: that no file is there that nobody can judge, that enough officers
// approved the plan and each act, and that both stages are signed off.
func judgeApprovals(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "plan", "transcript")
	files := map[string][]byte{}
	for part := range c.Files {
		if strings.Contains(part, "/") {
			data, e := c.File(part)
			files[part], err = data, errors.Join(err, e)
		}
	}
	if err != nil {
		return judged{}, err
	}
	plan, err := ceremony.ParsePlan("plan.yaml", x[0])
	if err != nil {
		return judged{}, err
	}
	a, _, err := ceremony.Replay(plan, "transcript.jsonl", x[1])
	if err != nil {
		return judged{}, err
	}
	return refusal(signed(a, files)), nil
}

// signed is the first reason for which what people signed is not enough.
func signed(a *ceremony.Account, files map[string][]byte) error {
	read := func(dir string) ([]ceremony.Signing, error) { return ceremony.Signings(files, dir) }
	people, err := ceremony.PeopleOf(a.Plan)
	if err := errors.Join(err, ceremony.CheckSignings(files), a.CheckSigned(read)); err != nil {
		return err
	}
	list, err := read(ceremony.PlanApprovalsDir)
	if err != nil {
		return err
	}
	counting, m := people.InTime(a), a.Plan.Threshold
	if officers, err := counting.PlanApprovals(a.Plan, list); err != nil || len(officers) < m {
		return fmt.Errorf("%d of %d officers approved the plan (%v)", len(officers), m, err)
	}
	if list, err = read(ceremony.ApprovalsDir); err != nil {
		return err
	}
	acts, err := counting.ReadApprovals(list)
	if err != nil {
		return err
	}
	for _, need := range a.Needs {
		if have := acts.Officers(need); len(have) < m {
			return fmt.Errorf("the act %q after record %d is approved by %d of %d officers", need.Act, need.Head.N, len(have), m)
		}
	}
	for _, stage := range []string{ceremony.StageRelease, ceremony.StageClose} {
		if err := signedOff(a, people, read, acts, stage); err != nil {
			return err
		}
	}
	return nil
}

// signedOff says why a stage isn't signed off.
func signedOff(a *ceremony.Account, people *ceremony.People, read func(string) ([]ceremony.Signing, error), acts *ceremony.GivenApprovals, stage string) error {
	want, err := a.WantedSignoff(stage)
	list, err2 := read(ceremony.SignoffDir(stage))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	all, err := people.Signoffs(want, list)
	if err != nil {
		return err
	}
	if len(all.Against) > 0 {
		return fmt.Errorf("%s: %s does not agree", stage, strings.Join(all.Against, ", "))
	}
	said, err := people.InTime(a).Signoffs(want, list)
	if err != nil {
		return err
	}
	return a.SignedOff(stage, said, list, acts, a.Plan.Threshold)
}
