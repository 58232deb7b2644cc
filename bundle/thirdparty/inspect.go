package thirdparty

import (
	"crypto/sha256"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Inspection is a request that was checked and found to be one to sign.
type Inspection struct {
	Request *bundle.Request
	Account *ceremony.Account // the ceremony up to its release, replayed
	Party   *ceremony.ThirdParty
	Delta   *bundle.Delta // nil at epoch 1
	Again   bool          // the ledger has the answer to this very request
}

// Inspect checks a request against the policy, the ledger and the evidence in
// it: the plan is the one the artifact names, and the transcript, replayed,
// gives this artifact, byte for byte.
func Inspect(file string, r *bundle.Request, p *Policy, l *Ledger) (*Inspection, error) {
	set := r.Core.KeySet
	if set.Mode == bundle.Production {
		return nil, strict.Errorf(file, "is of a production ceremony, whose approvals and release sign-offs this version can't verify yet").
			WithHint("nothing unverified is signed")
	}
	if err := p.allows(file, set); err != nil {
		return nil, err
	}
	account, err := replay(file, r)
	if err != nil {
		return nil, err
	}
	in := &Inspection{Request: r, Account: account}
	for i := range account.Plan.ThirdParties {
		if account.Plan.ThirdParties[i].Key == l.Key() {
			in.Party = &account.Plan.ThirdParties[i]
		}
	}
	if in.Party == nil {
		return nil, strict.Errorf(file, "its plan does not name the ledger's key as a third party")
	}
	if in.Again, err = l.check(file, r.Core); err != nil {
		return nil, err
	}
	if r.Core.Predecessor != nil {
		in.Delta = bundle.Diff(r.Core.Predecessor, set)
	}
	return in, nil
}

func replay(file string, r *bundle.Request) (*ceremony.Account, error) {
	files := map[string][]byte{}
	for _, f := range r.Files {
		files[f.Path] = f.Data
	}
	for _, path := range []string{ceremony.PlanFile, ceremony.TranscriptFile} {
		if files[path] == nil {
			return nil, strict.Errorf(file, "lacks %s, without which it can't be checked", path)
		}
	}
	if sha256.Sum256(files[ceremony.PlanFile]) != r.Core.Plan {
		return nil, strict.Errorf(file, "its plan.yaml is not the plan that it names")
	}
	plan, err := ceremony.ParsePlan(file+" "+ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return nil, err
	}
	a, t, err := ceremony.Replay(plan, file+" "+ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return nil, err
	}
	artifact, err := a.Artifact()
	switch {
	case err != nil:
		return nil, strict.Errorf(file, "its transcript: %v", err)
	case len(t.Torn) > 0:
		return nil, strict.Errorf(file, "its transcript is cut off after record %d", a.N)
	case a.Release == nil || a.Head != a.ReleaseHash:
		return nil, strict.Errorf(file, "its transcript does not end with the release")
	case r.Core.Release.Hash != a.ReleaseHash || r.Core.Release.N != uint64(a.ReleaseN):
		return nil, strict.Errorf(file, "it names another release than its transcript has")
	case artifact.Digest() != r.Core.KeySet.Digest():
		return nil, strict.Errorf(file, "its artifact is not the one that its transcript gives")
	}
	return a, nil
}
