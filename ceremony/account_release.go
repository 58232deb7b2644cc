package ceremony

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func (a *Account) takeRelease(c *Release, r *Record) error {
	artifact, err := a.Artifact()
	if err != nil {
		return err
	}
	if c.Artifact != artifact.Digest() {
		return fmt.Errorf("it releases another artifact than the records before it give")
	}
	a.Release, a.ReleaseHash, a.ReleaseTime, a.ReleaseN = c, r.place(), r.Time, r.N
	return nil
}

// CountersignText is what the operator signs, once as many third parties have
// answered as the plan needs; it names all that have.
func (a *Account) CountersignText() ([]byte, error) {
	if n := a.Plan.Answers(); len(a.answers) < n {
		return nil, fmt.Errorf("%d of the %d third parties needed have answered", len(a.answers), n)
	}
	artifact, err := a.Artifact()
	if err != nil {
		return nil, err
	}
	return bundle.CountersignMessage(a.Plan.Countersigner.Form, artifact, a.answers)
}

func (a *Account) takeCountersignature(c *Countersignature, r *Record) error {
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
	if err := checkSigned(c.Files, a.Request.Files); err != nil {
		return err
	}
	a.Counter, a.CounterHead, a.CounterTime, a.counted = c, Head{r.place(), r.N}, r.Time, pathsOf(c.Files)
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
	}, &bundle.Head{Hash: a.CounterHead.Hash, N: uint64(a.CounterHead.N)})
	return a.bundle, err
}

func (a *Account) takeLogProof(c *LogProof, r *Record) error {
	b, err := a.Bundle()
	if err != nil {
		return err
	}
	if c.Bundle != sha256.Sum256(b.Raw()) {
		return fmt.Errorf("it is for another bundle than the records before it give")
	}
	a.LogProof, a.LogProofN, a.LogProofTime = c, r.N, r.Time
	return nil
}
