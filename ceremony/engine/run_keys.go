package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

func (r *runner) intake(ctx context.Context, s ceremony.Step) error {
	t, err := r.token(ctx, s.HSM)
	if err != nil {
		return err
	}
	if r.journal.account.Intakes[s.HSM] == nil {
		info, err := t.Info()
		if err != nil {
			return fmt.Errorf("%s: %w", s.HSM, err)
		}
		err = r.record("serial as planned: "+info.Serial, &ceremony.Intake{
			HSM: s.HSM, Serial: info.Serial, Manufacturer: info.Manufacturer, Model: info.Model,
			Hardware: info.Hardware, Firmware: info.Firmware, Library: t.module.Library, Module: t.module.Digest,
		})
		if err != nil {
			return err
		}
	}
	number, by, confirmed, err := r.Participants.Seal(ctx, s.HSM, func(number string) error {
		return r.journal.account.CheckSeal(s.HSM, number)
	})
	if err != nil {
		return err
	}
	return r.record("seal read twice: "+number, &ceremony.Reading{What: ceremony.ReadSeal, HSM: s.HSM, Value: number, By: by, Confirmed: confirmed})
}

// recordInventory unlocks an HSM and records that it holds nothing yet.
func (r *runner) recordInventory(ctx context.Context, s ceremony.Step) error {
	t, err := r.unlocked(ctx, s.HSM)
	if err != nil {
		return err
	}
	objects, err := t.Objects()
	if err != nil {
		return fmt.Errorf("%s: %w", s.HSM, err)
	}
	done := "the token is empty"
	if r.plan.Destroys != nil {
		done = fmt.Sprintf("the token holds %d objects", len(objects))
	}
	return r.record(done, &ceremony.Inventory{HSM: s.HSM, Objects: objectsOf(objects)})
}

func resultOf(b Tokens, err error) string {
	if code := b.Code(err); code != "" {
		return code
	}
	return ceremony.UnlockRefused
}

func objectsOf(list []token.Object) []ceremony.Object {
	out := make([]ceremony.Object, 0, len(list))
	for _, o := range list {
		out = append(out, ceremony.Object{Class: o.Class, ID: o.ID})
	}
	return out
}

// generate makes one key and doubts it in every way the plan demands. If a
// check fails, the key is destroyed before anything else happens.
func (r *runner) generate(ctx context.Context, s ceremony.Step) error {
	role := r.plan.RoleIn(s.HSM, s.Role)
	t, err := r.unlocked(ctx, s.HSM)
	if err != nil {
		return err
	}
	id := make([]byte, ceremony.KeyIDSize)
	if _, err := io.ReadFull(r.Random, id); err != nil {
		return err
	}
	settings, optional := role.Template()
	spec := token.KeySpec{
		Algorithm: string(role.Algorithm), ID: id, Label: r.plan.Label(s), Attributes: settings, Optional: optional,
	}
	intent := &ceremony.Intent{HSM: s.HSM, Role: s.Role, Algorithm: role.Algorithm, ID: id, Label: spec.Label, Template: settings}
	if err := r.record("intent recorded", intent); err != nil {
		return err
	}
	n := r.journal.account.N
	made, err := t.Generate(spec)
	if err != nil {
		// Whether a key came of it is known when the token can be asked: the
		// intent stays open, and resume reconciles it.
		return fmt.Errorf("%s %s: %w", s.HSM, s.Role, err)
	}
	err = r.record(fmt.Sprintf("%s key generated in the token, %s", s.Role, role.Algorithm),
		&ceremony.Outcome{Intent: n, Result: ceremony.Generated, Mechanism: made.Mechanism, PublicKey: made.SPKI, Dropped: made.Dropped})
	if err == nil {
		err = r.checkKey(ctx, s, n, role.Algorithm, id)
	}
	if err != nil && r.journal.account.Fault != "" && r.journal.broken == nil {
		return r.destroy(t, n, id, err)
	}
	return err
}

func (r *runner) checkKey(ctx context.Context, s ceremony.Step, n int, alg keys.Algorithm, id []byte) error {
	t := r.reached[s.HSM]
	private, public, err := t.Attributes(id)
	if err != nil {
		return fmt.Errorf("%s %s: reading attributes back: %w", s.HSM, s.Role, err)
	}
	a := &ceremony.Attributes{Intent: n, Private: readings(private), Public: readings(public)}
	if err := r.record(fmt.Sprintf("%d attributes read back as planned", len(r.plan.RoleIn(s.HSM, s.Role).Expect())), a); err != nil {
		return err
	}
	tries, err := t.Attack(string(alg), id)
	if err != nil {
		return fmt.Errorf("%s %s: trying to take the key out: %w", s.HSM, s.Role, err)
	}
	negative := &ceremony.NegativeTest{Intent: n, Attempts: attemptsOf(tries)}
	// On a key that is lost anyway nothing is tried again.
	if names, err := r.plan.Weakened(s.HSM, s.Role, negative.Attempts); err == nil && len(names) > 0 {
		x, err := t.AttackRelaxed(string(alg), id, names)
		if err != nil {
			return fmt.Errorf("%s %s: trying to take the key out as it is now: %w", s.HSM, s.Role, err)
		}
		negative.Relaxed = &ceremony.Relaxed{
			Names: x.Names, While: readings(x.While), Attempts: attemptsOf(x.Attempts), Restored: attemptsOf(x.Restored), After: readings(x.After),
		}
	}
	k := r.journal.account.OpenIntent()
	if err := r.record(negative.Tally(), negative); err != nil {
		return err
	}
	if alg.Use() == keys.Agree {
		err = r.agree(ctx, t, s, k)
	} else {
		err = r.sign(t, s, k)
	}
	if err != nil {
		return err
	}
	spki, objects, err := r.Tokens.Probe(ctx, r.site.HSM(s.HSM), r.plan.HSM(s.HSM).Serial, string(alg), id, t.pin)
	if err != nil {
		return fmt.Errorf("%s %s: looking from a new process: %w", s.HSM, s.Role, err)
	}
	err = r.record("found again by a new process",
		&ceremony.Found{Intent: n, PublicKey: sha256.Sum256(spki), Objects: objectsOf(objects)})
	if err != nil {
		return err
	}
	return r.challenge(ctx, "read aloud, and typed from the other screen")
}

// sign has a key that signs show that its HSM has it.
func (r *runner) sign(t *openToken, s ceremony.Step, k *ceremony.Key) error {
	sig, err := t.Sign(string(k.Intent.Algorithm), k.Intent.ID, keys.ForPossession, r.journal.account.PossessionText(k))
	if err != nil {
		return fmt.Errorf("%s %s: proving possession: %w", s.HSM, s.Role, err)
	}
	return r.record("possession proven and checked in software", &ceremony.Possession{Intent: k.N, Signature: sig})
}

// agree has a key that agrees show that its HSM has it: to the auditor whose own
// screen draws the peer, whose private half is told once the answer is on the record.
// Where no auditor does, the machine draws it, and shows that to nobody but itself.
func (r *runner) agree(ctx context.Context, t *openToken, s ceremony.Step, k *ceremony.Key) error {
	a, alg := r.journal.account, k.Intent.Algorithm
	q := AgreementQuestion{Plan: r.plan, Step: s, Algorithm: alg, PublicKey: k.Outcome.PublicKey, Peer: a.CheckPeer, Scalar: a.CheckScalar, State: func() (state.State, error) { return state.Of(a) }}
	peer, challenger, by, err := r.Participants.Peer(ctx, q)
	if err != nil {
		return err
	}
	drawn := "the peer of " + challenger + " is on the record"
	var own *keys.Scalar
	if peer == nil {
		if own, err = keys.DrawScalar(alg, r.Random); err != nil {
			return err
		}
		if peer, err = k.PeerOf(own.Encode()); err != nil {
			return err
		}
		challenger, by, drawn = "", ceremony.Machine, "the machine drew a peer: nobody challenges this key"
	} else if by == ceremony.Machine {
		challenger, drawn = "", "a peer from a file is on the record: nobody challenges this key"
	}
	if err := r.record(drawn, &ceremony.AgreementPeer{Intent: k.N, Peer: peer, By: by, Challenger: challenger}); err != nil {
		return err
	}
	secret, err := t.Agree(string(alg), k.Intent.ID, peer)
	if err != nil {
		return fmt.Errorf("%s %s: agreeing with the peer: %w", s.HSM, s.Role, err)
	}
	answer, err := a.AnswerWith(secret)
	clear(secret)
	if err != nil {
		return fmt.Errorf("%s %s: agreeing with the peer: %w", s.HSM, s.Role, err)
	}
	if err := r.record("the key has answered", &ceremony.Possession{Intent: k.N, Answer: answer}); err != nil {
		return err
	}
	var scalar []byte
	if own != nil {
		scalar = own.Encode()
	} else if scalar, err = r.Participants.Opened(ctx, q, answer); err != nil {
		return err
	}
	return r.record("the peer is opened, and the answer checked in software", &ceremony.AgreementOpened{Intent: k.N, Scalar: scalar})
}

func readings(list []token.Reading) []ceremony.Attribute {
	out := make([]ceremony.Attribute, 0, len(list))
	for _, x := range list {
		out = append(out, ceremony.Attribute(x))
	}
	return out
}

func attemptsOf(list []token.Attempt) []ceremony.Attempt {
	out := make([]ceremony.Attempt, 0, len(list))
	for _, x := range list {
		out = append(out, ceremony.Attempt(x))
	}
	return out
}

// destroy takes a key that failed a check out of the world, on the record.
func (r *runner) destroy(t *openToken, n int, id []byte, cause error) error {
	if err := t.Destroy(id); err != nil {
		return fmt.Errorf("%w; and the key could not be destroyed: %v", cause, err)
	}
	if _, err := r.journal.Append(&ceremony.Outcome{Intent: n, Result: ceremony.Destroyed, Reason: r.reason(cause)}); err != nil {
		return err
	}
	return fmt.Errorf("%w; the key was destroyed", cause)
}

// reason is what the transcript says of an error. An error's own words may
// name a library's path or a token's label, which are private: only a failed
// check, whose words come from the records, and return codes are published.
func (r *runner) reason(err error) string {
	if f := r.journal.account.Fault; f != "" {
		return f
	}
	if code := r.Tokens.Code(err); code != "" {
		return code
	}
	return "the operation failed; the administrator's terminal says why"
}
