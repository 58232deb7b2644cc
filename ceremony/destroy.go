package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Destroys makes a plan one of a destruction: its ceremony generates nothing, and
// destroys the keys of a fleet that was retired. The plan's epoch and previous are those
// of the retirement.
type Destroys struct {
	Artifact  [32]byte    `strict:"artifact,hex"` // digest of the fleet-keys.json whose keys these are
	Effective time.Time   `strict:"effective"`    // the retirement's: no key is destroyed before
	Keys      []DoomedKey `strict:"keys"`         // one for each HSM and role, in the plan's order
}

// DoomedKey is a key to be destroyed: where it is, and which public key it must have.
type DoomedKey struct {
	HSM       string `strict:"hsm,token"`
	Role      string `strict:"role,token"`
	ID        []byte `strict:"cka_id,hex"`
	PublicKey []byte `strict:"public_key,base64"` // SPKI
}

// Retirement has the digests of the files that show that the keys may be destroyed: the
// bundle of the retirement, the bundle of the keys, and the proofs that both are logged.
type Retirement struct {
	Bundle    [32]byte `strict:"bundle,hex"`
	Proof     [32]byte `strict:"proof,hex"`
	Keys      [32]byte `strict:"keys,hex"`
	KeysProof [32]byte `strict:"keys_proof,hex"`
}

// Target is a key of the plan as its token holds it, before it is destroyed. Possession
// follows: the token shows that it has the private half of exactly this public key.
type Target struct {
	HSM       string   `strict:"hsm,token"`
	Role      string   `strict:"role,token"`
	ID        []byte   `strict:"cka_id,hex"`
	PublicKey [32]byte `strict:"public_key,hex"` // SHA-256 of the SPKI under this CKA_ID
	Halves    []string `strict:"halves,token"`   // with this CKA_ID
}

// DestroyIntent is written before a key is destroyed.
type DestroyIntent struct {
	Target int    `strict:"target"` // number of the record
	ID     []byte `strict:"cka_id,hex"`
}

// Destruction says what came of a destroy-intent: what the token still held right before,
// what it answered, and what was found afterwards.
type Destruction struct {
	Intent   int       `strict:"intent"`     // number of the record
	Held     []string  `strict:"held,token"` // the halves that were there; after an interruption perhaps fewer
	Attempts []Attempt `strict:"attempts"`   // C_DestroyObject of each half, and then a use of the private half's old handle
	Searches []Search  `strict:"searches"`
}

// Search is one search for what was destroyed, and how much it found.
type Search struct {
	By    string `strict:"by,token"`
	Found int    `strict:"found"`
}

// Gone is what a new process finds on a token once its keys are destroyed.
type Gone struct {
	HSM     string   `strict:"hsm,token"`
	Objects []Object `strict:"objects"`
}

// Doomed is what the transcript says about one key to be destroyed.
type Doomed struct {
	*Key        // the key as it showed itself: its N is that of the target's record
	Target      *Target
	Intent      *DestroyIntent
	IntentN     int
	Destruction *Destruction
	Gone        bool // a new process did not find it either

	interrupted bool // since the target's record
}

var bothHalves = []string{"private", "public"}

func (c *planChecker) destroys() {
	d := c.plan.Destroys
	if d == nil {
		return
	}
	at := c.root.LineOf("destroys")
	if c.plan.Epoch == 1 {
		c.failf(c.root.LineOf("epoch"), "epoch and previous are the retirement's", "a plan that destroys keys has the epoch of the fleet's retirement, which is at least 2")
	}
	for i, h := range c.plan.HSMs {
		if h.Attestation != nil || len(h.Tolerates) > 0 {
			c.failf(c.root.LineOf("hsms", i), "leave it out: each key shows itself which HSM it is in", "hsm %q: a plan that destroys keys has neither attestation nor tolerates", h.Name)
		}
	}
	if c.plan.Drill != nil {
		c.failf(c.root.LineOf("drill"), "leave it out", "a plan that destroys keys drills no fleet")
	}
	want := 0
	seen := map[string]bool{}
	for _, h := range c.plan.HSMs {
		for _, r := range c.plan.Roles {
			if want >= len(d.Keys) || d.Keys[want].HSM != h.Name || d.Keys[want].Role != r.Name {
				c.failf(at, "list one key for each HSM and role, HSM by HSM, in the plan's order", "destroys: key %d is not that of %s, role %s", want+1, h.Name, r.Name)
				return
			}
			k := d.Keys[want]
			want++
			line := c.root.LineOf("destroys", "keys", want-1)
			if len(k.ID) != KeyIDSize {
				c.failf(line, "", "destroys: key %d has a CKA_ID of %d bytes, not %d", want, len(k.ID), KeyIDSize)
			}
			if _, err := keys.ParseAs(r.Algorithm, k.PublicKey); err != nil {
				c.failf(line, "", "destroys: key %d: its public key %v", want, err)
			}
			for _, name := range []string{"id " + h.Name + string(k.ID), "key " + string(k.PublicKey)} {
				if seen[name] {
					c.failf(line, "each key is destroyed once", "destroys: key %d has the CKA_ID or the public key of one before it", want)
				}
				seen[name] = true
			}
		}
	}
	if want < len(d.Keys) {
		c.failf(at, "list one key for each HSM and role", "destroys lists %d keys, and the plan has %d", len(d.Keys), want)
	}
}

// Doomed is the key of an HSM and role that a plan destroys.
func (p *Plan) Doomed(hsm, role string) *DoomedKey {
	for i, k := range p.Destroys.Keys {
		if k.HSM == hsm && k.Role == role {
			return &p.Destroys.Keys[i]
		}
	}
	return nil
}

// destroyLeaves are the records of each key that is destroyed, by its use.
var destroyLeaves = map[keys.Use][]Kind{
	keys.Sign:  {KindTarget, KindPossession, KindDestroyIntent, KindDestruction},
	keys.Agree: {KindTarget, KindAgreementPeer, KindPossession, KindAgreementOpened, KindDestroyIntent, KindDestruction},
}

// destroySteps are the steps of a plan that destroys keys.
func (p *Plan) destroySteps() []Step {
	steps := []Step{
		{Act: ActOpen, Leaves: []Kind{KindOpen, KindReading, KindChallenge}},
		{Act: ActRetirement, Leaves: []Kind{KindRetirement, KindChallenge}},
	}
	for _, h := range p.HSMs {
		steps = append(steps, Step{Act: ActIntake, HSM: h.Name, Leaves: []Kind{KindIntake, KindReading}})
	}
	for _, h := range p.HSMs {
		steps = append(steps, Step{Act: ActUnlock, HSM: h.Name, Leaves: []Kind{KindUnlock, KindInventory}})
		for _, r := range p.Roles {
			steps = append(steps, Step{Act: ActDestroy, HSM: h.Name, Role: r.Name, Leaves: destroyLeaves[r.Use]})
		}
		steps = append(steps, Step{Act: ActGone, HSM: h.Name, Leaves: []Kind{KindGone}})
	}
	return append(steps, p.lastSteps()...)
}

// CheckRetirement demands of two verified bundles that one retires the plan's fleet, as
// the plan says, and that the other brings exactly the plan's keys.
func (p *Plan) CheckRetirement(retirement, brought *bundle.Bundle) error {
	r, b, d := retirement.About(), brought.About(), p.Destroys
	switch {
	case !r.Retires:
		return fmt.Errorf("what was given as the retirement retires no fleet")
	case r.Mode != p.Mode || r.Fleet != p.Fleet || r.Namespace != p.Namespace || r.Epoch != p.Epoch || !bytes.Equal(r.Previous, p.Previous[:]):
		return fmt.Errorf("the retirement is of %s, %s, epoch %d, after %x…; the plan says %s, %s, epoch %d, after %x…", r.Fleet, r.Namespace, r.Epoch, r.Previous[:4], p.Fleet, p.Namespace, p.Epoch, p.Previous[:4])
	case !retirement.Notice.Effective.Equal(d.Effective):
		return fmt.Errorf("the retirement takes effect at %s, the plan says %s", strict.FormatTime(*retirement.Notice.Effective), strict.FormatTime(d.Effective))
	case brought.KeySet == nil || b.Digest != d.Artifact:
		return fmt.Errorf("the bundle of the keys brings %x…; the plan destroys the keys of %x…", b.Digest[:8], d.Artifact[:8])
	case b.Mode != p.Mode || b.Fleet != p.Fleet || b.Namespace != p.Namespace || b.Epoch >= p.Epoch:
		return fmt.Errorf("the keys are of %s, %s, epoch %d: the retirement, epoch %d of %s, doesn't retire them", b.Fleet, b.Namespace, b.Epoch, p.Epoch, p.Fleet)
	}
	for _, k := range d.Keys {
		if !slices.ContainsFunc(brought.KeySet.Keys, func(x bundle.FleetKey) bool {
			return x.HSM == k.HSM && x.Role == k.Role && bytes.Equal(x.SPKI, k.PublicKey)
		}) {
			return fmt.Errorf("the key of %s, role %s, that the plan destroys is not the one that the bundle brings", k.HSM, k.Role)
		}
	}
	return nil
}

func (a *Account) takeTarget(c *Target, r *Record) error {
	s := a.Steps[a.step]
	if err := a.mine(c.HSM); err != nil {
		return err
	}
	want := a.Plan.Doomed(s.HSM, s.Role)
	switch {
	case a.pos > 0 && !a.doomed.interrupted:
		return fmt.Errorf("it begins the step again, and nothing interrupted it")
	case c.Role != s.Role || !bytes.Equal(c.ID, want.ID):
		return fmt.Errorf("it is about role %q, CKA_ID %x; the plan destroys %q, %x", c.Role, c.ID, s.Role, want.ID)
	case c.PublicKey != sha256.Sum256(want.PublicKey):
		return fmt.Errorf("the token of %s has under this CKA_ID another public key than the plan destroys, %x…: it is not touched", c.HSM, c.PublicKey[:8])
	case !slices.Equal(c.Halves, bothHalves):
		return fmt.Errorf("the token of %s has the halves %q under CKA_ID %x; one private and one public are wanted", c.HSM, c.Halves, c.ID)
	}
	alg := a.Plan.RoleIn(s.HSM, s.Role).Algorithm
	a.key = &Key{HSM: c.HSM, Role: c.Role, N: r.N, Intent: &Intent{HSM: c.HSM, Role: c.Role, Algorithm: alg, ID: c.ID}, IntentHash: r.place(), Outcome: &Outcome{PublicKey: want.PublicKey}}
	if a.pos > 0 {
		a.Doomed, a.pos = a.Doomed[:len(a.Doomed)-1], 0
	}
	a.doomed = &Doomed{Key: a.key, Target: c}
	a.Doomed = append(a.Doomed, a.doomed)
	return nil
}

func (a *Account) takeDestroyIntent(c *DestroyIntent, r *Record) error {
	if err := a.at(c.Target); err != nil {
		return err
	}
	switch d := a.Plan.Destroys; {
	case a.doomed.interrupted:
		return fmt.Errorf("the ceremony was interrupted since the key showed itself: it shows itself again before it is destroyed")
	case !bytes.Equal(c.ID, a.doomed.Target.ID):
		return fmt.Errorf("it names the CKA_ID %x, and the key that showed itself has %x", c.ID, a.doomed.Target.ID)
	case r.Time.Before(d.Effective):
		return fmt.Errorf("the fleet's keys are in force until %s, when its retirement takes effect: none is destroyed before", strict.FormatTime(d.Effective))
	}
	a.doomed.Intent, a.doomed.IntentN = c, r.N
	return nil
}

// The searches for what was destroyed, in order.
var searchesBy = []string{token.ByID, token.ByClass, token.ByPublicKey}

// uses are the calls that can decide whether a destroyed key still works.
var uses = []string{token.CallSignInit, token.CallSign, token.CallDerive}

func (c *Destruction) form() error {
	if !slices.Equal(c.Held, bothHalves) && !slices.Equal(c.Held, bothHalves[1:]) && len(c.Held) > 0 {
		return fmt.Errorf("the token held the halves %q; it holds both, the public one, or none", c.Held)
	}
	var want []string
	for _, half := range c.Held {
		want = append(want, token.TryDestroy+half)
	}
	if len(c.Held) == 2 {
		want = append(want, token.TryUse)
	}
	if len(want) != len(c.Attempts) {
		return fmt.Errorf("it has %d attempts; of what the token held there are %d", len(c.Attempts), len(want))
	}
	for i, t := range c.Attempts {
		calls := []string{token.CallDestroy}
		if want[i] == token.TryUse {
			calls = uses
		}
		if t.Name != want[i] || t.Unstaged || !slices.Contains(calls, t.Call) {
			return fmt.Errorf("attempt %d is %q by %s; %q by one of %s is wanted", i+1, t.Name, t.Call, want[i], strings.Join(calls, ", "))
		}
		if err := token.CheckCode(t.Code); err != nil || t.Code == token.Unavailable {
			return fmt.Errorf("attempt %s: %q is no return code of a call", t.Name, strict.Clip(t.Code))
		}
	}
	if len(c.Searches) != len(searchesBy) {
		return fmt.Errorf("it has %d searches; there are %d", len(c.Searches), len(searchesBy))
	}
	for i, s := range c.Searches {
		if s.By != searchesBy[i] || s.Found < 0 {
			return fmt.Errorf("search %d is by %q and found %d; by %q is wanted", i+1, s.By, s.Found, searchesBy[i])
		}
	}
	return nil
}

func (a *Account) takeDestruction(c *Destruction) error {
	d := a.doomed
	switch {
	case d == nil || d.IntentN != c.Intent:
		return fmt.Errorf("it is about record %d, which is not the open destroy-intent", c.Intent)
	case len(c.Held) < 2 && !d.interrupted:
		return fmt.Errorf("the token held both halves when the key showed itself, and nothing interrupted that: it can't hold less now")
	case len(c.Held) == 2 && d.interrupted:
		return fmt.Errorf("the ceremony was interrupted and the key is still there: it shows itself again before it is destroyed")
	}
	d.Destruction = c
	for _, t := range c.Attempts {
		switch {
		case t.Name == token.TryUse && t.Code == codeOK:
			a.fail("%s %s: the token still uses the key that it says it destroyed (%s)", d.HSM, d.Role, t.Call)
		case t.Name != token.TryUse && t.Code != codeOK:
			a.fail("%s %s: the token did not destroy the key: %s answered %s", d.HSM, d.Role, t.Name, t.Code)
		}
	}
	for _, s := range c.Searches {
		if s.Found > 0 {
			a.fail("%s %s: the token says that it destroyed the key, and a search by %s still finds %d", d.HSM, d.Role, s.By, s.Found)
		}
	}
	return nil
}

func (a *Account) takeGone(c *Gone) error {
	if err := a.mine(c.HSM); err != nil {
		return err
	}
	var want []string
	for _, o := range a.held[c.HSM] {
		want = append(want, o.Class+" "+hex.EncodeToString(o.ID))
	}
	for _, d := range a.Doomed {
		if d.HSM != c.HSM {
			continue
		}
		for _, half := range bothHalves {
			if i := slices.Index(want, half+" "+hex.EncodeToString(d.Target.ID)); i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
		}
	}
	for _, o := range c.Objects {
		name := o.Class + " " + hex.EncodeToString(o.ID)
		i := slices.Index(want, name)
		if i < 0 {
			a.fail("%s: a new process finds the object %s, which was destroyed or wasn't there before", c.HSM, name)
			return nil
		}
		want = slices.Delete(want, i, i+1)
	}
	if len(want) > 0 {
		a.fail("%s: a new process does not find the object %s, which nobody destroyed", c.HSM, want[0])
		return nil
	}
	for _, d := range a.Doomed {
		d.Gone = d.Gone || d.HSM == c.HSM
	}
	return nil
}

// OpenDestruction is the key whose destruction has begun and whose outcome is not on the
// record; nil if there is none.
func (a *Account) OpenDestruction() *Doomed {
	if a.doomed == nil || a.doomed.Intent == nil || a.doomed.Destruction != nil {
		return nil
	}
	return a.doomed
}

// Interrupted says that the open key's step was interrupted since the key showed itself.
func (a *Account) Interrupted() bool { return a.doomed != nil && a.doomed.interrupted }

// untold are the keys of which an abort has to say what became of them: those that were
// generated, or the one that may be destroyed or not.
func (a *Account) untold() []*Key {
	if d := a.OpenDestruction(); d != nil {
		return []*Key{d.Key}
	}
	return a.Keys
}
