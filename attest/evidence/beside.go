package evidence

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
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

// told is what a verified object says.
type told struct {
	file   string
	object Type
	about  bundle.About // without a digest for an aborted ceremony, which has no artifact
	notice *bundle.Notice
	keys   []bundle.FleetKey
	ending string // EndingClosed or EndingAborted for a package
	head   [32]byte
}

// tells notes what the object says, to compare it with the objects beside it.
func (v *verifier) tells(b *bundle.Bundle, a *ceremony.Account) {
	if b != nil {
		v.told.about, v.told.notice = b.About(), b.Notice
		if b.KeySet != nil {
			v.told.keys = b.KeySet.Keys
		}
	}
	if a == nil || !a.Ended() {
		return
	}
	v.told.ending, v.told.head = EndingClosed, a.Head
	if a.Abort != nil {
		v.told.ending = EndingAborted
		v.told.about = bundle.About{Mode: a.Plan.Mode, Fleet: a.Plan.Fleet, Namespace: a.Plan.Namespace, Epoch: a.Plan.Epoch, Ceremony: a.Open.Ceremony}
	}
}

// besides verifies the objects that were given beside this one, each under the same
// policy, and compares all of them with each other. One that can't be verified or
// compared is a problem, since the caller wants it considered.
func (v *verifier) besides(list []Input, mine *told) {
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
	if len(list) > 0 && mine.about.Namespace == "" {
		v.problem(v.r.File, "", "is %s: nothing that was given beside it can be held against it", v.r.Object.Noun())
		return
	}
	all := []*told{mine}
	for _, in := range list {
		other := v.besideOne(in)
		if other == nil {
			continue
		}
		v.r.Besides = append(v.r.Besides, Beside{other.file, other.object, other.about.Namespace, other.about.Epoch})
		if related := other.about.Namespace == mine.about.Namespace || other.ceremony() && other.about.Ceremony == mine.about.Ceremony; !related {
			v.problem(in.File, "", "is of %s, and says nothing about %s", other.about.Namespace, mine.about.Namespace)
			continue
		}
		all = append(all, other)
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			for _, pair := range [][2]*told{{a, b}, {b, a}} {
				if why := contradicts(pair[0], pair[1]); why != "" {
					v.problem(b.file, "keep both: one of them is not what happened", "%s", why)
					break
				}
			}
		}
	}
	v.r.Standing = standing(mine, all[1:], v.now)
}

// besideOne verifies one of them; nil if it does not verify.
func (v *verifier) besideOne(in Input) *told {
	w := newVerifier(in, v.policy, v.now, TypeAbort) // an abort is judged as one
	w.object(in)
	w.unspent()
	switch w.r.Object {
	case TypeEvidence, TypeAbort, TypeBundle, TypeNotice:
	default:
		v.problem(in.File, "", "is %s; beside an object stand packages, bundles and notices", w.r.Object.Noun())
		return nil
	}
	w.r.conclude(besideDemands(v.policy, w.r.Object), false)
	if !w.r.Met() { // keys that nobody confirmed count in the main object's verdict
		where, why := w.r.firstFault()
		v.problem(in.File, "what was given is considered, so it has to be verified itself: see\nfleetctl verify "+in.File+" --policy POLICY --expect "+string(w.r.Object),
			"was given beside this, and is not verified: %s: %s", where, why)
		return nil
	}
	w.told.file, w.told.object = in.File, w.r.Object
	return &w.told
}

// besideDemands are the policy's demands for an object of this type, and that third
// parties and operator signed it, whether the policy demands that or not.
func besideDemands(p *Policy, t Type) []Demand {
	q := Question{Expect: t}
	list := slices.DeleteFunc(q.implied(p), func(d Demand) bool {
		info, _ := findClaim(d.Claim)
		return !info.carries(t)
	})
	if t == TypeAbort {
		return list
	}
	for _, name := range []string{ClaimStatement, ClaimCountersigned} {
		list = slices.DeleteFunc(list, func(d Demand) bool { return d.Claim == name })
		list = append(list, Demand{name, Proven})
	}
	return list
}

// firstFault is the first reason why the report is not verified.
func (r *Report) firstFault() (where, why string) {
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

func (t *told) ceremony() bool { return t.about.Ceremony != "" }
func (t *told) aborted() bool  { return t.ending == EndingAborted }

// brings says whether the object brings keys.
func (t *told) brings() bool { return !t.aborted() && t.notice == nil }

// shares is a key of b that t has too; nil if there is none.
func (t *told) shares(b *told) *bundle.FleetKey {
	mine := map[string]bool{}
	for _, k := range t.keys {
		mine[string(k.SPKI)] = true
	}
	i := slices.IndexFunc(b.keys, func(k bundle.FleetKey) bool { return mine[string(k.SPKI)] })
	if i < 0 {
		return nil
	}
	return &b.keys[i]
}

// contradicts says why b can't be true if a is; empty if both can be. The caller tries
// both orders.
func contradicts(a, b *told) string {
	if a.ceremony() && a.about.Ceremony == b.about.Ceremony {
		switch {
		case a.ending != "" && b.ending != "" && (a.ending != b.ending || a.head != b.head):
			return fmt.Sprintf("says that the ceremony %s ended %s with %x…; %s says that it ended %s with %x…: a ceremony ends once",
				b.about.Ceremony, b.ending, b.head[:8], a.file, a.ending, a.head[:8])
		case a.aborted() != b.aborted():
			return fmt.Sprintf("is of the ceremony %s, as %s is: one says that it was aborted, the other is what it released", b.about.Ceremony, a.file)
		case !a.aborted() && a.about.Digest != b.about.Digest:
			return fmt.Sprintf("has digest %x…, %s has %x…, and both say that the ceremony %s released it: one ceremony, two artifacts, which is equivocation",
				b.about.Digest[:8], a.file, a.about.Digest[:8], b.about.Ceremony)
		}
	}
	if a.about.Namespace != b.about.Namespace || a.aborted() || b.aborted() {
		return ""
	}
	if k := a.shares(b); k != nil && a.about.Ceremony != b.about.Ceremony {
		return fmt.Sprintf("has at hsm %s, role %s, a key that %s has too: each says that it was generated in its own ceremony", k.HSM, k.Role, a.file)
	}
	switch {
	case a.about.Epoch == b.about.Epoch && a.about.Digest != b.about.Digest:
		return fmt.Sprintf("has digest %x… for epoch %d, %s has %x…: one epoch, two artifacts, which is equivocation", b.about.Digest[:8], b.about.Epoch, a.file, a.about.Digest[:8])
	case a.about.Epoch+1 == b.about.Epoch && !bytes.Equal(b.about.Previous, a.about.Digest[:]):
		return fmt.Sprintf("is epoch %d and names another artifact of epoch %d than %s has", b.about.Epoch, a.about.Epoch, a.file)
	case a.about.Retires && a.about.Fleet == b.about.Fleet && b.about.Epoch > a.about.Epoch:
		return fmt.Sprintf("is epoch %d of the fleet %s, which %s retired with epoch %d: nothing of it may follow", b.about.Epoch, b.about.Fleet, a.file, a.about.Epoch)
	}
	return ""
}

// standing is what the other objects show about this epoch's keys.
func standing(mine *told, others []*told, now time.Time) (list []Standing) {
	if !mine.brings() {
		return nil
	}
	voids := func(x, epoch *told) bool {
		return x.about.Voids && x.about.Epoch == epoch.about.Epoch+1 && bytes.Equal(x.about.Previous, epoch.about.Digest[:])
	}
	for _, o := range others {
		if o.about.Namespace != mine.about.Namespace {
			continue
		}
		s := Standing{By: o.file, Epoch: o.about.Epoch, InForce: true}
		if o.notice != nil {
			s.Reason = o.notice.Reason
		}
		switch {
		case o.about.Retires && o.about.Fleet == mine.about.Fleet && o.about.Epoch > mine.about.Epoch:
			s.What, s.Effective = StandingRetired, o.notice.Effective
			s.InForce = !now.Before(*s.Effective)
		case voids(o, mine):
			s.What = StandingVoid
		case o.brings() && o.about.Epoch > mine.about.Epoch && !slices.ContainsFunc(others, func(x *told) bool { return voids(x, o) }):
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
