package evidence

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxBesides is how many objects may be given beside another. A fleet has an epoch every
// few years.
const maxBesides = 64

// Beside is an object that was given beside the one in question, was verified by itself,
// and was compared with it.
type Beside struct {
	File      string `strict:"file"`
	Object    Type   `strict:"object"`
	Namespace string `strict:"namespace"`
	Epoch     uint64 `strict:"epoch"`
}

// Standing says what became of an epoch, by another object.
type Standing struct {
	What      string     `strict:"what"` // StandingRetired, StandingVoid, StandingSuperseded
	By        string     `strict:"by"`   // the file that shows it
	Epoch     uint64     `strict:"epoch"`
	Effective *time.Time `strict:"effective,optional"` // when a retirement takes effect
	Reason    string     `strict:"reason,optional"`
	InForce   bool       `strict:"in_force"` // false for a retirement in the future
}

// The values of Standing.What.
const (
	StandingRetired    = "retired"    // its fleet has ended
	StandingVoid       = "void"       // it never came into force
	StandingSuperseded = "superseded" // a later epoch brings the keys
)

// Told is what a verified object says, so far as others can be held against it.
type Told struct {
	File    string
	Object  Type
	About   bundle.About // without a digest for an aborted ceremony, which has no artifact
	Notice  *bundle.Notice
	Keys    []bundle.FleetKey
	Created time.Time // of the artifact, by its own word; zero without one
	Ending  string    // EndingClosed or EndingAborted for a package
	Head    [32]byte
	Logged  *LogEntry // nil where no pinned log shows that the artifact's bundle is logged

	spki  map[string]bool        // the keys
	of    [32]byte               // of a destruction: the artifact whose keys it destroyed
	gone  map[string]bool        // of a destruction: the keys, by SPKI, that it shows to be destroyed
	trees []*auditlog.Checkpoint // those that a pinned log signed
}

// LogEntry is where a bundle is logged, and by when a quorum of witnesses had seen it.
type LogEntry struct {
	Origin      string
	Index, Size uint64
	Witnessed   *time.Time // nil if no quorum has
}

// tells notes what the object says, to compare it with the objects beside it.
func (v *verifier) tells(b *bundle.Bundle, a *ceremony.Account) {
	if b != nil {
		v.told.About, v.told.Notice = b.About(), b.Notice
		if b.KeySet != nil {
			v.told.Keys, v.told.Created, v.told.spki = b.KeySet.Keys, b.KeySet.Created, map[string]bool{}
			for _, k := range b.KeySet.Keys {
				v.told.spki[string(k.SPKI)] = true
			}
		} else {
			v.told.Created = b.Notice.Created
		}
	}
	if a == nil || !a.Ended() {
		return
	}
	v.told.Ending, v.told.Head = EndingClosed, a.Head
	if a.Plan.Destroys != nil {
		v.told.Ending, v.told.About.Ceremony = EndingDestroyed, a.Open.Ceremony
	}
	if a.Abort != nil {
		v.told.Ending = EndingAborted
		v.told.About = bundle.About{Mode: a.Plan.Mode, Fleet: a.Plan.Fleet, Namespace: a.Plan.Namespace, Epoch: a.Plan.Epoch, Ceremony: a.Open.Ceremony}
	}
}

// besides verifies the objects that were given beside this one, each under the same
// policy, and compares all of them with each other. One that can't be verified or
// compared is a problem, since the caller wants it considered.
func (v *verifier) besides(list []Input, mine *Told) {
	if len(list) > maxBesides {
		v.problem(list[maxBesides].File, "", "is one of %d objects given beside this one, and at most %d are taken", len(list), maxBesides)
		return
	}
	total := 0
	for _, in := range list {
		if total += len(in.Data) + in.Folder.Size(); total > MaxPackage {
			v.problem(in.File, "", "and what was given before it beside this have more than %d bytes together", MaxPackage)
			return
		}
	}
	if len(list) > 0 && mine.About.Namespace == "" {
		v.problem(v.r.File, "", "is %s: nothing that was given beside it can be held against it", v.r.Object.Noun())
		return
	}
	all := []*Told{mine}
	for _, in := range list {
		other := v.besideOne(in)
		if other == nil {
			continue
		}
		v.r.Besides = append(v.r.Besides, Beside{other.File, other.Object, other.About.Namespace, other.About.Epoch})
		if related := other.About.Namespace == mine.About.Namespace || other.ceremony() && other.About.Ceremony == mine.About.Ceremony; !related {
			v.problem(in.File, "", "is of %s, and says nothing about %s", other.About.Namespace, mine.About.Namespace)
			continue
		}
		all = append(all, other)
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			if c := Contradict(a, b); c != nil {
				v.problem(c.File, "keep both: one of them is not what happened", "%s", c.What)
			}
		}
	}
	v.r.Standing = Stand(mine, all[1:], v.now)
}

// besideOne verifies one of them; nil if it does not verify.
func (v *verifier) besideOne(in Input) *Told {
	r, told := alone(in, v.policy, v.now)
	switch {
	case !r.Object.relates():
		v.problem(in.File, "", "is %s; beside an object stand packages, bundles and notices", r.Object.Noun())
		return nil
	case !r.Met(): // keys that nobody confirmed count in the main object's verdict
		where, why := r.FirstFault()
		v.problem(in.File, "what was given is considered, so it has to be verified itself: see\nfleetctl verify "+in.File+" --policy POLICY --expect "+string(r.Object),
			"was given beside this, and is not verified: %s: %s", where, why)
		return nil
	}
	return told
}

// relates says whether an object of this type can be held against others.
func (t Type) relates() bool {
	return t == TypeEvidence || t == TypeDestruction || t == TypeAbort || t == TypeBundle || t == TypeNotice
}

// Alone verifies an object by itself, as what it is: an aborted ceremony as an abort, a
// notice as a notice. What it says comes with the report only if it is a package, a
// bundle or a notice in which nothing is wrong or short. The caller judges whether the
// policy's keys were confirmed.
func Alone(in Input, p *Policy, now time.Time) (*Report, *Told, error) {
	if err := keys.CheckNow(now); err != nil {
		return nil, nil, err
	}
	r, told := alone(in, p, now)
	if !r.Object.relates() || !r.Met() {
		told = nil
	}
	return r, told, nil
}

func alone(in Input, p *Policy, now time.Time) (*Report, *Told) {
	w := newVerifier(in, p, now, TypeAbort) // an abort is judged as one
	w.object(in)
	w.unspent()
	w.r.conclude(besideDemands(p, w.r.Object), false)
	w.told.File, w.told.Object, w.told.trees = in.File, w.r.Object, w.trees
	return w.r, &w.told
}

// besideDemands are the policy's demands for an object of this type, and that third
// parties and operator signed it, whether the policy demands that or not.
func besideDemands(p *Policy, t Type) []Demand {
	q := Question{Expect: t}
	list := slices.DeleteFunc(q.implied(p), func(d Demand) bool {
		info, _ := findClaim(d.Claim)
		return !info.carries(t)
	})
	if t == TypeAbort || !t.relates() {
		return list
	}
	if t == TypeDestruction && !slices.ContainsFunc(p.Demands, func(d Demand) bool { return d.Claim == ClaimDestroyed }) {
		// Among others it counts for the keys that it shows to be destroyed.
		list = slices.DeleteFunc(list, func(d Demand) bool { return d.Claim == ClaimDestroyed })
	}
	for _, name := range []string{ClaimStatement, ClaimCountersigned} {
		list = slices.DeleteFunc(list, func(d Demand) bool { return d.Claim == name })
		list = append(list, Demand{name, Proven})
	}
	return list
}

// FirstFault is the first reason why the report is not verified.
func (r *Report) FirstFault() (where, why string) {
	if len(r.Problems) > 0 {
		return r.Problems[0].Where, r.Problems[0].What
	}
	for _, c := range r.Claims {
		if c.Short() {
			return c.Name, c.Detail
		}
	}
	return r.File, "nothing of it was demanded"
}

func (t *Told) ceremony() bool { return t.About.Ceremony != "" }

// Gone says how many of an epoch's keys the other objects show to be destroyed.
func Gone(epoch *Told, others []*Told) (n int) {
	for _, k := range epoch.Keys {
		if slices.ContainsFunc(others, func(o *Told) bool { return o.of == epoch.About.Digest && o.gone[string(k.SPKI)] }) {
			n++
		}
	}
	return n
}

// Aborted says whether the object is the package of an aborted ceremony.
func (t *Told) Aborted() bool { return t.Ending == EndingAborted }

// Brings says whether the object brings keys.
func (t *Told) Brings() bool { return !t.Aborted() && t.Notice == nil }

// Voids says whether the object voids the epoch that the other one brings.
func (t *Told) Voids(epoch *Told) bool {
	return t.About.Voids && t.About.Epoch == epoch.About.Epoch+1 && bytes.Equal(t.About.Previous, epoch.About.Digest[:])
}

// shares is a key of b that t has too; nil if there is none.
func (t *Told) shares(b *Told) *bundle.FleetKey {
	i := slices.IndexFunc(b.Keys, func(k bundle.FleetKey) bool { return t.spki[string(k.SPKI)] })
	if i < 0 {
		return nil
	}
	return &b.Keys[i]
}

// Contradiction says why of two verified objects one is not what happened.
type Contradiction struct {
	Kind string
	File string // of the one that What is said of
	What string
}

// The values of Contradiction.Kind.
const (
	ContradictEndings  = "two-endings"  // one ceremony, two endings
	ContradictFork     = "equivocation" // one epoch or one ceremony, two artifacts
	ContradictKey      = "key-reused"   // artifacts of two ceremonies have a key in common
	ContradictPrevious = "predecessor"  // an artifact that names another one before it
	ContradictRetired  = "retired"      // an artifact of a fleet after its retirement
	ContradictLog      = "split-view"   // one log, one size, two trees
)

// Contradict holds two verified objects against each other; nil if both can be true.
func Contradict(a, b *Told) *Contradiction {
	if c := contradicts(a, b); c != nil {
		return c
	}
	return contradicts(b, a)
}

// contradicts says why b can't be true if a is; nil if both can be. The caller tries
// both orders.
func contradicts(a, b *Told) *Contradiction {
	say := func(kind, format string, args ...any) *Contradiction {
		return &Contradiction{kind, b.File, fmt.Sprintf(format, args...)}
	}
	for _, x := range a.trees {
		for _, y := range b.trees {
			if text := twoTrees(x, y); text != "" {
				return say(ContradictLog, "has a proof by which %s: %s has the other", text, a.File)
			}
		}
	}
	if a.ceremony() && a.About.Ceremony == b.About.Ceremony {
		switch {
		case a.Ending != "" && b.Ending != "" && (a.Ending != b.Ending || a.Head != b.Head):
			return say(ContradictEndings, "says that the ceremony %s ended %s with %x…; %s says that it ended %s with %x…: a ceremony ends once",
				b.About.Ceremony, b.Ending, b.Head[:8], a.File, a.Ending, a.Head[:8])
		case a.Aborted() != b.Aborted():
			return say(ContradictEndings, "is of the ceremony %s, as %s is: one says that it was aborted, the other is what it released", b.About.Ceremony, a.File)
		case !a.Aborted() && a.About.Digest != b.About.Digest:
			return say(ContradictFork, "has digest %x…, %s has %x…, and both say that the ceremony %s released it: one ceremony, two artifacts, which is equivocation",
				b.About.Digest[:8], a.File, a.About.Digest[:8], b.About.Ceremony)
		}
	}
	if a.About.Namespace != b.About.Namespace || a.Aborted() || b.Aborted() {
		return nil
	}
	if k := a.shares(b); k != nil && a.About.Ceremony != b.About.Ceremony {
		return say(ContradictKey, "has at hsm %s, role %s, a key that %s has too: each says that it was generated in its own ceremony", k.HSM, k.Role, a.File)
	}
	switch {
	case a.About.Epoch == b.About.Epoch && a.About.Digest != b.About.Digest:
		return say(ContradictFork, "has digest %x… for epoch %d, %s has %x…: one epoch, two artifacts, which is equivocation", b.About.Digest[:8], b.About.Epoch, a.File, a.About.Digest[:8])
	case a.About.Epoch+1 == b.About.Epoch && !bytes.Equal(b.About.Previous, a.About.Digest[:]):
		return say(ContradictPrevious, "is epoch %d and names another artifact of epoch %d than %s has", b.About.Epoch, a.About.Epoch, a.File)
	case a.About.Retires && a.About.Fleet == b.About.Fleet && b.About.Epoch > a.About.Epoch:
		return say(ContradictRetired, "is epoch %d of the fleet %s, which %s retired with epoch %d: nothing of it may follow", b.About.Epoch, b.About.Fleet, a.File, a.About.Epoch)
	}
	return nil
}

// Stand is what the other objects show about this epoch's keys.
func Stand(mine *Told, others []*Told, now time.Time) (list []Standing) {
	if !mine.Brings() {
		return nil
	}
	for _, o := range others {
		if o.About.Namespace != mine.About.Namespace {
			continue
		}
		s := Standing{By: o.File, Epoch: o.About.Epoch, InForce: true}
		if o.Notice != nil {
			s.Reason = o.Notice.Reason
		}
		switch {
		case o.About.Retires && o.About.Fleet == mine.About.Fleet && o.About.Epoch > mine.About.Epoch:
			s.What, s.Effective = StandingRetired, o.Notice.Effective
			s.InForce = !now.Before(*s.Effective)
		case o.Voids(mine):
			s.What = StandingVoid
		case o.Brings() && o.About.Epoch > mine.About.Epoch && !slices.ContainsFunc(others, func(x *Told) bool { return x.Voids(o) }):
			s.What = StandingSuperseded
		default:
			continue
		}
		list = append(list, s)
	}
	return list
}

// stand makes problems of the standing. A bundle does not pass if its keys were retired
// or voided. A package does: it is about the past. If the question is whether the keys
// are current, neither passes.
func (v *verifier) stand(q Question) {
	if q.Current {
		switch {
		case v.r.Object != TypeBundle && v.r.Object != TypeEvidence:
			v.problem(v.r.File, "", "is %s, and a bundle or a package whose keys are current was expected", v.r.Object.Noun())
			return
		case len(v.r.Besides) == 0:
			v.problem(v.r.File, "give the newest bundle or notice there is with --beside", "nothing was given beside it that could show whether it is current")
		}
	}
	for _, s := range v.r.Standing {
		if s.InForce && (q.Current || v.r.Object == TypeBundle && s.What != StandingSuperseded) {
			v.problem(s.By, "its keys are not to be used", "shows that epoch %d is %s %s", v.r.Epoch, s.What, s.Text())
		}
	}
}

// Text says since when, and by which epoch, in words that follow What.
func (s Standing) Text() string {
	text := fmt.Sprintf("by epoch %d", s.Epoch)
	switch {
	case s.What == StandingRetired && s.InForce:
		text = fmt.Sprintf("since %s, by epoch %d", strict.FormatTime(*s.Effective), s.Epoch)
	case s.What == StandingRetired:
		text = fmt.Sprintf("from %s on, by epoch %d", strict.FormatTime(*s.Effective), s.Epoch)
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}
