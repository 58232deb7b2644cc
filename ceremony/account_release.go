package ceremony

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// clockTolerance is how far a third party's clock may be behind the room's.
const clockTolerance = 5 * time.Minute

func (a *Account) takeRelease(c *Release, r *Record) error {
	artifact, err := a.Artifact()
	if err != nil {
		return err
	}
	if c.Artifact != artifact.Digest() {
		return fmt.Errorf("it releases another artifact than the records before it give")
	}
	a.Release, a.ReleaseHash, a.ReleaseTime, a.ReleaseN = c, r.Hash(), r.Time, r.N
	return nil
}

func (a *Account) takeResponse(c *Response, r *Record) error {
	s, err := a.CheckStatement(c.Key, c.Statement)
	if err != nil {
		return err
	}
	if t := s.Statement.Time(); t.After(r.Time.Add(clockTolerance)) {
		return fmt.Errorf("it was signed at %s, which is yet to come", t.Format(time.RFC3339))
	}
	a.Responses, a.answers = append(a.Responses, c), append(a.answers, *s)
	return nil
}

// CheckStatement says whether a third party's statement is the one this
// ceremony asked it for.
func (a *Account) CheckStatement(key [32]byte, statement []byte) (*bundle.Signed, error) {
	if a.Release == nil || a.Request == nil {
		return nil, fmt.Errorf("nothing has been requested yet")
	}
	party := a.thirdParty(key)
	if party == nil {
		return nil, fmt.Errorf("its key %x is none of the plan's third parties", key[:4])
	}
	for _, r := range a.Responses {
		if r.Key == key {
			return nil, fmt.Errorf("%s has answered already", party.Name)
		}
	}
	s, err := bundle.ParseStatement("statement of "+party.Name, statement)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Ciphersuite != party.Ciphersuite:
		return nil, fmt.Errorf("%s signed with ciphersuite %d, the plan says %d", party.Name, s.Ciphersuite, party.Ciphersuite)
	case s.Namespace != a.Plan.Namespace || s.Epoch != a.Plan.Epoch:
		return nil, fmt.Errorf("%s signed %s, epoch %d, not %s, epoch %d", party.Name, s.Namespace, s.Epoch, a.Plan.Namespace, a.Plan.Epoch)
	case s.Digest != a.Release.Artifact:
		return nil, fmt.Errorf("%s signed another artifact", party.Name)
	case s.Time().Before(a.ReleaseTime.Add(-clockTolerance)):
		return nil, fmt.Errorf("%s signed at %s, before the artifact was released", party.Name, s.Time().UTC().Format(time.RFC3339))
	}
	if err := s.Verify(key); err != nil {
		return nil, fmt.Errorf("the statement of %s: %w", party.Name, err)
	}
	return &bundle.Signed{Key: key, Statement: s}, nil
}

func (a *Account) thirdParty(key [32]byte) *ThirdParty {
	for i := range a.Plan.ThirdParties {
		if a.Plan.ThirdParties[i].Key == key {
			return &a.Plan.ThirdParties[i]
		}
	}
	return nil
}

// CountersignText is what the operator signs, once every third party answered.
func (a *Account) CountersignText() ([]byte, error) {
	if len(a.Responses) < len(a.Plan.ThirdParties) {
		return nil, fmt.Errorf("%d of %d third parties have answered", len(a.Responses), len(a.Plan.ThirdParties))
	}
	artifact, err := a.Artifact()
	if err != nil {
		return nil, err
	}
	return bundle.CountersignMessage(a.Plan.Countersigner.Form, artifact, a.answers)
}

func (a *Account) takeCountersignature(c *Countersignature) error {
	want := a.Plan.Countersigner
	if !bytes.Equal(c.Key, want.Key) || c.Form != want.Form {
		return fmt.Errorf("its key or form is not the plan's for %s", want.Name)
	}
	text, err := a.CountersignText()
	if err != nil {
		return err
	}
	k, err := keys.ParseSPKI(c.Key)
	if err != nil {
		return err
	}
	if err := k.Verify(text, c.Signature); err != nil {
		return fmt.Errorf("the countersignature of %s: %w", want.Name, err)
	}
	a.Counter = c
	return nil
}

// Bundle is the validation bundle that artifact, statements and
// countersignature make.
func (a *Account) Bundle() (*bundle.Bundle, error) {
	if a.Counter == nil {
		return nil, fmt.Errorf("the operator has not countersigned")
	}
	if a.bundle != nil {
		return a.bundle, nil
	}
	artifact, err := a.Artifact()
	if err != nil {
		return nil, err
	}
	key, err := keys.ParseSPKI(a.Counter.Key)
	if err != nil {
		return nil, err
	}
	a.bundle, err = bundle.Assemble(artifact.Raw(), a.answers, []bundle.Countersignature{
		{Key: key, Form: a.Counter.Form, Signature: a.Counter.Signature},
	})
	return a.bundle, err
}

func (a *Account) takeLogProof(c *LogProof) error {
	b, err := a.Bundle()
	if err != nil {
		return err
	}
	if c.Bundle != sha256.Sum256(b.Raw()) {
		return fmt.Errorf("it is for another bundle than the records before it give")
	}
	a.LogProof = c
	return nil
}
