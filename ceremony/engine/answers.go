package engine

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

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
	if err := j.judge(r, core); errors.Is(err, ceremony.ErrAnswered) {
		return nil, err
	} else if err != nil {
		return nil, j.refuse(r, err)
	}
	_, err = j.Append(&ceremony.Response{Key: r.Key, Statement: r.Statement.Raw()})
	return a.ThirdParty(r.Key), err
}

func (j *Journal) judge(r *bundle.Response, core *bundle.Core) error {
	if _, err := j.account.CheckStatement(r.Key, r.Statement.Raw()); err != nil {
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
