package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Ended are the files that show that a fleet's keys may be destroyed: the bundle of its
// retirement, that of its keys, and the proofs that both are logged.
type Ended struct {
	Retirement, RetirementProof, Keys, KeysProof []byte
}

func (e *Ended) files() map[string][]byte {
	return map[string][]byte{
		ceremony.RetirementFile: e.Retirement, ceremony.RetirementProofFile: e.RetirementProof,
		ceremony.RetiredFile: e.Keys, ceremony.RetiredProofFile: e.KeysProof,
	}
}

// retirement records that the fleet is retired, once that is verified under the plan's
// own keys and under the policy that was given, and has the words of the keys' epoch typed.
func (r *runner) retirement(ctx context.Context) error {
	if r.journal.account.Retirement == nil {
		if err := r.mayDestroy(); err != nil {
			return err
		}
		sums := map[string][32]byte{}
		for name, data := range r.Ended.files() {
			if err := r.journal.save(name, data); err != nil {
				return err
			}
			sums[name] = sha256.Sum256(data)
		}
		err := r.record("the fleet's retirement and the bundle of its keys are signed and logged", &ceremony.Retirement{
			Bundle: sums[ceremony.RetirementFile], Proof: sums[ceremony.RetirementProofFile],
			Keys: sums[ceremony.RetiredFile], KeysProof: sums[ceremony.RetiredProofFile],
		})
		if err != nil {
			return err
		}
	}
	return r.challenge(ctx, "the words of the keys' epoch were read aloud and confirmed")
}

func (r *runner) mayDestroy() error { return MayDestroy(r.plan, r.Ended, r.Policy, r.Now()) }

// MayDestroy says why a plan's keys may not be destroyed: their retirement isn't in force,
// or it or their own bundle isn't verified under the plan's own keys and under the policy,
// if there is one, or they are not of this plan.
func MayDestroy(p *ceremony.Plan, e *Ended, policy *evidence.Policy, now time.Time) error {
	d := p.Destroys
	if e == nil {
		return strict.Errorf("", "the plan destroys keys, and nothing was given that shows that their fleet is retired").
			WithHint("name the retirement's bundle with --retirement and that of the keys with --retired, each with its proof beside it as FILE.tlog-proof")
	}
	if now.Before(d.Effective) {
		return strict.Errorf(ceremony.PlanFile, "the fleet's keys are in force until %s, when its retirement takes effect, and it is %s", strict.FormatTime(d.Effective), strict.FormatTime(now)).
			WithHint("nothing was recorded: destroy them then")
	}
	own, err := planned.OwnPolicy(p, "the plan's own keys: whether the fleet is retired")
	if err != nil {
		return err
	}
	policies := []*evidence.Policy{own}
	if policy != nil {
		policies = append(policies, policy)
	}
	for _, under := range policies {
		for _, x := range []struct {
			file        string
			data, proof []byte
			expect      evidence.Type
		}{
			{ceremony.RetirementFile, e.Retirement, e.RetirementProof, evidence.TypeNotice},
			{ceremony.RetiredFile, e.Keys, e.KeysProof, evidence.TypeBundle},
		} {
			report, err := evidence.Verify(evidence.Input{File: x.file, Data: x.data, Proof: x.proof}, under, evidence.Question{Now: now, Expect: x.expect})
			if err != nil {
				return err
			}
			where, why := report.FirstFault()
			if unseen := report.Claim(evidence.ClaimWitnessed); report.Verified && under.Log != nil && under.Log.Demanded() && unseen.Grade < evidence.Proven {
				report.Verified, where, why = false, unseen.Name, unseen.Detail
			}
			if !report.Verified {
				return strict.Errorf(x.file, "is not verified under %s, so that no key is destroyed: %s: %s", under.File, where, why).
					WithHint("keys are destroyed once their fleet's retirement is signed by the third parties, countersigned and logged:\nfleetctl bundle retire, thirdparty notice, bundle notice, log append")
			}
		}
	}
	retirement, err := bundle.ParseAny(ceremony.RetirementFile, e.Retirement)
	if err != nil {
		return err
	}
	brought, err := bundle.ParseAny(ceremony.RetiredFile, e.Keys)
	if err != nil {
		return err
	}
	if err := p.CheckRetirement(retirement, brought); err != nil {
		return strict.Errorf(ceremony.PlanFile, "no key is destroyed: %v", err)
	}
	return nil
}

// destroyKey has a key show that it is the plan's, records that it is to be destroyed,
// destroys it, and looks for it. After an interruption it finds out what the token still
// holds: a key that is there shows itself again, and of one that isn't that is recorded.
func (r *runner) destroyKey(ctx context.Context, s ceremony.Step) error {
	t, err := r.unlocked(ctx, s.HSM)
	if err != nil {
		return err
	}
	a, alg := r.journal.account, string(r.plan.RoleIn(s.HSM, s.Role).Algorithm)
	k := r.plan.Doomed(s.HSM, s.Role)
	halves, err := t.halves(k.ID)
	if err != nil {
		return fmt.Errorf("%s %s: %w", s.HSM, s.Role, err)
	}
	if d := a.OpenDestruction(); d == nil || len(halves) == 2 {
		if err := r.showDoomed(ctx, t, s, k, alg, halves); err != nil {
			return err
		}
	}
	gone, err := t.DestroyPair(alg, k.ID, k.PublicKey)
	if err != nil {
		return fmt.Errorf("%s %s: destroying its key: %w", s.HSM, s.Role, err)
	}
	c := &ceremony.Destruction{Intent: a.OpenDestruction().IntentN, Held: gone.Held, Attempts: attemptsOf(gone.Attempts)}
	for i, by := range []string{token.ByID, token.ByClass, token.ByPublicKey} {
		c.Searches = append(c.Searches, ceremony.Search{By: by, Found: gone.Found[i]})
	}
	return r.record(s.Role+" key destroyed; no search finds it, and its old handle does nothing", c)
}

// showDoomed records which key is to be destroyed, has it show itself, and records the
// intent.
func (r *runner) showDoomed(ctx context.Context, t *openToken, s ceremony.Step, k *ceremony.DoomedKey, alg string, halves []string) error {
	spki, err := t.PublicKey(alg, k.ID)
	if err != nil {
		return fmt.Errorf("%s %s: %w: no key was destroyed", s.HSM, s.Role, err)
	}
	target := &ceremony.Target{HSM: s.HSM, Role: s.Role, ID: k.ID, PublicKey: sha256.Sum256(spki), Halves: halves}
	if err := r.record(s.Role+" key found, with the public key that is in the bundle", target); err != nil {
		return err
	}
	shown := r.journal.account.OpenIntent()
	if keys.Algorithm(alg).Use() == keys.Agree {
		err = r.agree(ctx, t, s, shown)
	} else {
		err = r.sign(t, s, shown)
	}
	if err != nil {
		return err
	}
	return r.record("intent to destroy it recorded", &ceremony.DestroyIntent{Target: shown.N, ID: k.ID})
}

// lookAgain has a new process list what a token holds, once its keys are destroyed.
func (r *runner) lookAgain(ctx context.Context, s ceremony.Step) error {
	t, err := r.unlocked(ctx, s.HSM)
	if err != nil {
		return err
	}
	_, objects, err := r.Tokens.Probe(ctx, r.site.HSM(s.HSM), r.plan.HSM(s.HSM).Serial, "", nil, t.pin)
	if err != nil {
		return fmt.Errorf("%s: looking from a new process: %w", s.HSM, err)
	}
	return r.record("a new process finds none of the keys, and all else that was there", &ceremony.Gone{HSM: s.HSM, Objects: objectsOf(objects)})
}

// halves are the classes of the keys with an id, the private one first. Any other object
// with that id is an error, which a person has to look at.
func (t *openToken) halves(id []byte) (list []string, err error) {
	objects, err := t.Objects()
	if err != nil {
		return nil, err
	}
	for _, class := range []string{"private", "public"} {
		for _, o := range objects {
			if o.Class == class && bytes.Equal(o.ID, id) {
				list = append(list, class)
			}
		}
	}
	_, err = t.holds(id)
	return list, err
}

// left says what became of the key whose destruction began and has no outcome, for an
// abort. It destroys nothing.
func (r *runner) left(ctx context.Context) []ceremony.KeyState {
	d := r.journal.account.OpenDestruction()
	if d == nil {
		return []ceremony.KeyState{}
	}
	state := ceremony.Absent
	t, err := r.unlocked(ctx, d.HSM)
	var halves []string
	if err == nil {
		halves, err = t.halves(d.Target.ID)
	}
	switch {
	case err != nil:
		state = ceremony.NotDestroyed + r.code(err) + ", so what became of it isn't known"
	case len(halves) > 0:
		state = ceremony.NotDestroyed + "the token still holds it"
	}
	return []ceremony.KeyState{{HSM: d.HSM, Role: d.Role, ID: d.Target.ID, State: state}}
}
