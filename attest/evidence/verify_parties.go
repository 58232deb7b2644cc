package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Parties says which of the pinned third parties have signed.
type Parties struct {
	Needed int
	Signed []Party  // in the bundle's order, then the late ones
	Absent []string // those without a statement that counts
}

// Party is a third party that signed.
type Party struct {
	Name string    `strict:"name"`
	Time time.Time `strict:"time"` // as the party says
	Late bool      `strict:"late"` // it came after the countersignature and is not in the bundle
}

// latecomer is a statement that isn't in the bundle.
type latecomer struct {
	where     string
	statement bundle.Signed
	key       *[32]byte  // the signer's as claimed; nil for a statement as served
	asked     bool       // the caller gave it, so it must be of a pinned party
	seen      *time.Time // by when witnesses had seen it; nil if they have not
}

// beside are the statements that the caller gave with a bundle or a package.
func (v *verifier) beside(files []Input) (list []latecomer) {
	for _, in := range files {
		s, key, err := readStatement(in)
		if err != nil {
			v.fault(in.File, err)
			continue
		}
		list = append(list, latecomer{in.File, s, key, true, nil})
	}
	return list
}

// recorded are the latecomers in a package's transcript. It reports third parties that
// contradicted themselves by an answer that was refused.
func (v *verifier) recorded(a *ceremony.Account) (list []latecomer) {
	for _, s := range a.Late() {
		list = append(list, latecomer{ceremony.TranscriptFile, s, &s.Key, false, v.closed})
	}
	for _, c := range a.Contradictions() {
		if p := v.party(c.Statement, &c.Key); p != nil {
			v.problem(ceremony.TranscriptFile, "keep the package: it has the proof, and ask "+p.Name,
				"%s signed epoch %d with digest %x… at %s, which was refused: one epoch has one statement of each, and this is %s",
				p.Name, c.Statement.Epoch, c.Statement.Digest[:8], strict.FormatTime(c.Statement.Time()), v.contradiction(p.Name, said{c, "this"}))
		}
	}
	return list
}

// party is the pinned third party whose key verifies a statement; nil if there is none.
func (v *verifier) party(s *bundle.Statement, claimed *[32]byte) *bundle.ThirdParty {
	for i, p := range v.policy.parties {
		if (claimed == nil || *claimed == p.Key) && s.VerifyOnce(p.Key, v.seen) == nil {
			return &v.policy.parties[i]
		}
	}
	return nil
}

// late judges statements beside the bundle like those in it. One that does not verify
// under a pinned key, or that contradicts the bundle, is a problem whoever else signed.
// No log entry commits to a statement that only lies beside, so its key's window must
// cover the verifier's time; one on the record was seen with the evidence's leaf.
func (v *verifier) late(b *bundle.Bundle, res *bundle.Result, list []latecomer) []bundle.Signer {
	var signers []bundle.Signer
	taken := map[[32]byte]*bundle.Statement{}
	for _, s := range b.Statements {
		taken[s.Key] = s.Statement
	}
	set := b.About()
	trust := v.policy.Trust(set.Namespace)
	trust.Seen = v.seen
	for _, x := range list {
		s := x.statement.Statement
		p := v.party(s, x.key)
		switch {
		case p == nil && (x.asked || v.pins(*x.key)):
			v.problem(x.where, "", "the statement verifies under none of the %d pinned third parties", len(v.policy.parties))
			continue
		case p == nil:
			continue // the key isn't pinned
		case s.Namespace != set.Namespace || s.Epoch != set.Epoch:
			v.problem(x.where, "", "%s signed %s, epoch %d; the bundle is %s, epoch %d", p.Name, s.Namespace, s.Epoch, set.Namespace, set.Epoch)
			continue
		case s.Digest != set.Digest:
			both := []said{{x.statement, "this"}}
			for _, own := range b.Statements {
				if own.Key == p.Key {
					both = append(both, said{own, "the one in the bundle"})
				}
			}
			v.problem(x.where, "keep both: together they are the proof", "%s signed digest %x… for epoch %d, the bundle has %x…: %s", p.Name, s.Digest[:8], s.Epoch, set.Digest[:8], v.contradiction(p.Name, both...))
			continue
		}
		if before := taken[p.Key]; before != nil {
			if s.Timestamp != before.Timestamp || s.Signature != before.Signature {
				v.problem(x.where, "keep both: together they are the proof", "%s signed epoch %d twice, at %s and at %s: an epoch is signed once",
					p.Name, s.Epoch, strict.FormatTime(before.Time()), strict.FormatTime(s.Time()))
			}
			continue
		}
		v.notAfter(x.where, p.Name+" says to have signed", s.Time(), v.now, "the time it is judged at")
		if x.seen != nil {
			v.notAfter(x.where, p.Name+" says to have signed", s.Time(), *x.seen, "the time by which witnesses had seen it")
		}
		taken[p.Key] = s
		lacks, ok := v.adds(trust, x.where, x.statement, p.Name, x.seen)
		switch {
		case !ok:
			continue
		case lacks != "":
			res.Incomplete = append(res.Incomplete, bundle.Incomplete{Name: p.Name, Lacks: lacks})
			continue
		}
		one := bundle.Signer{Name: p.Name, Time: s.Time()}
		switch {
		case !p.Window.Counts(v.now, x.seen):
			res.Expired = append(res.Expired, one)
		case !slices.Contains(res.Absent, p.Name):
			res.Repeated = append(res.Repeated, one)
		default:
			signers = append(signers, one)
			res.Absent = slices.DeleteFunc(res.Absent, func(name string) bool { return name == p.Name })
		}
	}
	return signers
}

// said is a statement, and what a problem calls it.
type said struct {
	bundle.Signed
	called string
}

// contradiction names what two statements by a pinned Ed25519 key are, of which it is given
// those whose additions are known. Where both signatures of the party are required, and one
// of the two has that one alone, whoever stole or broke the key can have made it: the party
// is not accused.
func (v *verifier) contradiction(party string, statements ...said) string {
	for _, s := range statements {
		trust := v.policy.Trust(s.Statement.Namespace)
		if !trust.RequiresAll(party) {
			break
		}
		if _, lacks, err := trust.Adds(s.Signed, party, v.now, nil); lacks != "" || err != nil {
			return "not shown to be equivocation: the policy requires both signatures of " + party + ", and no post-quantum one that counts is beside " + s.called + ", so that whoever has its Ed25519 key alone can have signed it"
		}
	}
	return "equivocation"
}

func (v *verifier) pins(key [32]byte) bool {
	return slices.ContainsFunc(v.policy.parties, func(p bundle.ThirdParty) bool { return p.Key == key })
}

// signers grades who signed a bundle, and says whether enough pinned third
// parties signed the artifact in it.
func (v *verifier) signers(file string, b *bundle.Bundle, res *bundle.Result, late []bundle.Signer) bool {
	set, needed := b.About(), v.policy.needed
	v.r.Parties = &Parties{Needed: needed, Absent: res.Absent}
	for i, s := range slices.Concat(res.ThirdParties, late) {
		v.r.Parties.Signed = append(v.r.Parties.Signed, Party{s.Name, s.Time, i >= len(res.ThirdParties)})
	}
	all := slices.Concat(res.ThirdParties, late)
	ignored := ""
	if n := len(res.Expired); n > 0 {
		ignored = fmt.Sprintf("; %d outside its key's window", n)
	}
	for _, i := range res.Incomplete {
		ignored += "; " + i.String()
	}
	signed := len(all) >= needed
	if signed {
		v.show(ClaimStatement, Proven, file, "%s, epoch %d, %s%s%s", v.who(res, late), set.Epoch, strict.FormatTime(all[0].Time), v.both(all), ignored)
		v.show(ClaimMode, Proven, file, "%s, in the artifact that %s signed", set.Mode, signerNames(all))
	} else {
		v.lack(ClaimStatement, file, "a third party that the policy pins has to sign", "%d of %d pinned third parties signed%s%s", len(all), needed, absent(res.Absent), ignored)
	}
	if len(res.Operators) > 0 {
		v.show(ClaimCountersigned, Proven, file, "%s, %s%s", signerNames(res.Operators), v.formOf(res.Operators[0].Name, len(b.Statements)), v.both(res.Operators))
	} else {
		v.lack(ClaimCountersigned, file, "", "no pinned operator countersigned%s", ignored)
	}
	return signed
}

// both says of whom a classical and a post-quantum signature are required and there.
func (v *verifier) both(list []bundle.Signer) string {
	names := slices.DeleteFunc(slices.Clone(list), func(s bundle.Signer) bool { return !slices.Contains(v.policy.requires, s.Name) })
	if len(names) == 0 {
		return ""
	}
	return "; classical and post-quantum signatures of " + signerNames(names)
}

// who names the signers, and if several parties are pinned, also the absent ones.
func (v *verifier) who(res *bundle.Result, late []bundle.Signer) string {
	pinned := len(res.ThirdParties) + len(late) + len(res.Absent)
	if pinned == 1 {
		return signerNames(res.ThirdParties) + signerNames(late)
	}
	var parts []string
	if len(res.ThirdParties) > 0 {
		parts = append(parts, signerNames(res.ThirdParties))
	}
	if len(late) > 0 {
		parts = append(parts, "late "+signerNames(late))
	}
	return fmt.Sprintf("%d of %d third parties, %d needed: %s%s", pinned-len(res.Absent), pinned, v.policy.needed, strings.Join(parts, ", "), absent(res.Absent))
}

func absent(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; absent " + strings.Join(names, ", ")
}

func (v *verifier) formOf(operator string, statements int) string {
	for _, o := range v.policy.operators {
		if o.Name == operator && o.Form == bundle.FormSignature {
			return "over that signature"
		}
	}
	if statements > 1 {
		return fmt.Sprintf("bound to those %d statements", statements)
	}
	return "bound to that statement"
}

// oneKeyNext is the hint about a key that two holders have.
const oneKeyNext = "one key is one person's, and has one part; a policy may take what it names under allows:"

// fleetVoices refuses fleet keys that are also the key of somebody whom the policy or the
// plan names. plan is nil for a bundle alone.
func (v *verifier) fleetVoices(file string, set *bundle.KeySet, plan *ceremony.Plan) {
	if set == nil {
		return // a notice brings no keys
	}
	all := &v.policy.roster
	if plan != nil {
		all = all.Clone()
		if err := plan.Enter(all); err != nil {
			v.fault(ceremony.PlanFile, err)
		}
	}
	for _, fault := range set.Voices(all) {
		v.problem(file, oneKeyNext, "%s", fault)
	}
}

// planVoices refuses a plan whose names or roles for the policy's keys would let one
// person count twice, or one key have two parts.
func (v *verifier) planVoices(plan *ceremony.Plan) {
	for _, fault := range plan.KeyConflicts(&v.policy.roster) {
		v.problem(ceremony.PlanFile, oneKeyNext, "%s", fault)
	}
	for _, x := range plan.People {
		for _, y := range v.policy.people {
			if x.Role != y.Role && sameKey(x.Key, y.Key) {
				v.problem(ceremony.PlanFile, "a person has one part, in the plan and in the policy",
					"%s is %s in the plan, and the policy pins that key as %s's, %s: what they signed would count in a part that they did not have", x.Name, x.Role, y.Name, y.Role)
			}
		}
	}
}
