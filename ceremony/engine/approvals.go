package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
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

// ImportResponse verifies a third party's answer and records it: as many as are
// needed, and after them whoever still answers until the ceremony is closed. One
// that isn't good is recorded as refused, and nothing is taken from it. A served
// statement that isn't about what was asked for is refused and not recorded, unless it
// is about this epoch and another artifact: that contradicts under every ciphersuite.
func (j *Journal) ImportResponse(r *bundle.Response) (*ceremony.ThirdParty, error) {
	a := j.account
	switch {
	case a.Ended():
		return nil, fmt.Errorf("the ceremony has ended")
	case a.Request == nil:
		return nil, fmt.Errorf("nothing has been requested yet")
	case a.Adjourned:
		return nil, fmt.Errorf("the ceremony is adjourned: it has to be reconvened first")
	}
	if p := a.ThirdParty(r.Key); r.AsServed() && p != nil {
		s := r.Statement
		contradicts := s.Namespace == a.Plan.Namespace && s.Epoch == a.Plan.Epoch && s.Digest != a.Release.Artifact
		if err := r.CheckConcerns(p.Name, a.Plan.Namespace, a.Plan.Epoch, p.Ciphersuite); err != nil && !contradicts {
			return nil, err
		}
	}
	path := filepath.Join(j.dir, ceremony.CoreFile)
	data, err := durable.ReadFile(path)
	if err != nil {
		return nil, err
	}
	core, err := bundle.ParseCore(path, data)
	if err != nil {
		return nil, err
	}
	switch err := j.judge(r, core); {
	case errors.Is(err, ceremony.ErrNoAddition):
		return nil, strict.Errorf("", "the answer of %v", err).Because(err).
			WithHint("a statement as a live service serves it has none: ask the third party for its response, which has both")
	case errors.Is(err, ceremony.ErrAnswered):
		return nil, err
	case err != nil:
		return nil, j.refuse(r, err)
	}
	c := &ceremony.Response{Key: r.Key, Statement: r.Statement.Raw()}
	if r.Addition != nil {
		c.Addition = r.Addition.Signature
	}
	_, err = j.Append(c)
	return a.ThirdParty(r.Key), err
}

func (j *Journal) judge(r *bundle.Response, core *bundle.Core) error {
	s, err := j.account.CheckStatement(r.Key, r.Statement.Raw())
	if err != nil {
		return err
	}
	var addition []byte
	if r.Addition != nil {
		if p := j.account.ThirdParty(r.Key); p.PostQuantum != nil && !p.PostQuantum.Is(r.Addition.Key) {
			return fmt.Errorf("the post-quantum signature of %s is by another key than the plan's", p.Name)
		}
		addition = r.Addition.Signature
	}
	if _, err := j.account.CheckAddition(*s, addition); err != nil {
		return err
	}
	if err := ceremony.CheckStatementTime(r.Statement, j.now()); err != nil {
		return err
	}
	return r.Check(core, r.Key)
}

// refuse records an answer that isn't good, once.
func (j *Journal) refuse(r *bundle.Response, why error) error {
	reason := why.Error()
	if e := (*strict.Error)(nil); errors.As(why, &e) {
		reason = e.Msg // without the name of a file on this machine
	}
	seen := func(c *ceremony.Refusal) bool { return c.Key == r.Key && bytes.Equal(c.Statement, r.Statement.Raw()) }
	if !slices.ContainsFunc(j.account.Refusals, seen) {
		if _, err := j.Append(&ceremony.Refusal{Key: r.Key, Statement: r.Statement.Raw(), Reason: reason}); err != nil {
			return err
		}
	}
	return &Refused{Why: why}
}

// Refused is the error of an answer that was recorded and not taken.
type Refused struct{ Why error }

func (e *Refused) Error() string { return e.Why.Error() + "; it is on the record as refused" }

// Unwrap gives why.
func (e *Refused) Unwrap() error { return e.Why }
