package engine

import (
	"cmp"
	"context"
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
)

// Approver gets the approvals that an act still lacks, for example by letting officers
// sign at the terminal, and stores them with folder.StoreSignature.
type Approver func(ctx context.Context, dir string, people *ceremony.People, want ceremony.Approval, have []string) error

// planApproved demands that the threshold of officers approved exactly the plan's
// bytes.
func (j *Journal) planApproved() error {
	people, list, err := j.signings(ceremony.PlanApprovalsDir)
	if err != nil {
		return err
	}
	have, err := people.PlanApprovals(j.account.Plan, list)
	if err != nil {
		return err
	}
	if len(have) < people.Threshold() {
		return &folder.Pending{What: "the plan", Have: have, Want: people.Threshold()}
	}
	return nil
}

// Approved demands that the threshold of officers approved an act over the present
// head. If they did not yet, it calls ask.
func (j *Journal) Approved(ctx context.Context, want ceremony.Approval, ask Approver) error {
	have, people, err := j.approvals(want)
	if err != nil {
		return err
	}
	if len(have) < people.Threshold() && ask != nil {
		if err := ask(ctx, j.dir, people, want, have); err != nil {
			return err
		}
		if have, _, err = j.approvals(want); err != nil {
			return err
		}
	}
	if len(have) < people.Threshold() {
		return &folder.Pending{What: want.Act, Have: have, Want: people.Threshold()}
	}
	return nil
}

func (j *Journal) approvals(want ceremony.Approval) ([]string, *ceremony.People, error) {
	people, list, err := j.signings(ceremony.ApprovalsDir)
	if err != nil {
		return nil, nil, err
	}
	have, err := people.Approvals(want, list)
	return have, people, err
}

func (j *Journal) signings(dir string) (*ceremony.People, []ceremony.Signing, error) {
	people, err := j.account.People()
	if err != nil {
		return nil, nil, err
	}
	list, err := folder.ReadSignings(j.dir, dir)
	return people, list, err
}

// exceptionsAccepted demands that the threshold of officers accepted every exception.
// With one that they didn't accept, the evidence would never verify; and after the
// request a ceremony can't be aborted, after the close no record can be added.
func (j *Journal) exceptionsAccepted() error {
	waits, err := folder.MissingAcceptances(j.dir, j.account)
	if err != nil || len(waits) == 0 {
		return err
	}
	return &waits[0]
}

// mayRequest demands every signature that must be there before anything leaves the
// room. The error names all that are missing.
func (j *Journal) mayRequest() error {
	accepted, released := j.exceptionsAccepted(), j.releaseSignedOff()
	if accepted != nil && released != nil {
		return fmt.Errorf("%w; %w", accepted, released)
	}
	return cmp.Or(accepted, released)
}

// releaseSignedOff demands that the release is signed off: the threshold of officers,
// a witness and an auditor agree, nobody disagrees, and every other witness and
// auditor gave a verdict or is named as absent.
func (j *Journal) releaseSignedOff() error {
	w, err := folder.MissingSignoff(j.dir, j.account, ceremony.StageRelease)
	if err != nil || w == nil {
		return err
	}
	return &w.Pending
}
