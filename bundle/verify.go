package bundle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Result says who signed a bundle.
type Result struct {
	ThirdParties []Signer     // whose signatures count, each party once, in the bundle's order
	Operators    []Signer     // whose countersignatures count: two of an operator in RequireAll
	Expired      []Signer     // valid, but by a pinned key outside its window: they don't count
	Repeated     []Signer     // valid, but by another key of a party that counts already
	Absent       []string     // pinned third parties of which no signature counts
	Incomplete   []Incomplete // those in Trust.RequireAll of whom a signature counts, and not both
	Ignored      []string     // keys that aren't pinned: base64, raw Ed25519 or SPKI; nothing of them was verified
}

// Signer is a pinned key that signed.
type Signer struct {
	Name string    // as pinned
	Key  string    // base64: raw Ed25519 of a third party, SPKI of an operator
	Time time.Time // as the signer states it; zero for an operator, who states none
}

// Short is the error of a bundle in which nothing is wrong but signatures are
// missing, which may still be added. Every other error of Verify but an ErrTrust
// means that the bundle is wrong.
type Short struct {
	File          string
	Needed        int // third parties that must sign
	Countersigned bool
	Result        *Result // the signatures that there are
}

func (e *Short) Error() string {
	var lacks []string
	if n := len(e.Result.ThirdParties); n < e.Needed {
		lacks = append(lacks, fmt.Sprintf("%d of the %d pinned third parties needed have signed", n, e.Needed))
	}
	if !e.Countersigned {
		lacks = append(lacks, "no pinned operator has countersigned")
	}
	for _, i := range e.Result.Incomplete {
		lacks = append(lacks, i.String())
	}
	msg := fmt.Sprintf("is short: %s (outside their key's window %d, by keys not pinned %d)",
		strings.Join(lacks, "; "), len(e.Result.Expired), len(e.Result.Ignored))
	return strict.Errorf(e.File, "%s", msg).Error()
}

const keepHint = "Somebody has changed this bundle, or its signer signs wrongly: keep the file, and get the bundle from another source."

// Verify checks every signature by a pinned key. If one of them is invalid, or a
// pinned operator's has another form than the pinned one, the whole bundle is
// wrong, however many others are good. Keys that aren't pinned never count.
//
// now is the verifier's time. witnessed is the earliest time by which a quorum
// of witnesses had seen the bundle, nil if none has. A signature that existed by
// then counts even if its key expired or was compromised since ([Window]).
// Where trust has RequireAll these witnesses' keys have to be post-quantum too
// ([auditlog.Policy.PostQuantum]), as [Check] sees to by itself.
//
// The error is a *Short if only signatures are missing, and an ErrTrust if what is
// pinned can't be used; otherwise the bundle is wrong. With an error the result is
// nil.
func (b *Bundle) Verify(trust *Trust, now time.Time, witnessed *time.Time) (*Result, error) {
	return b.verify(trust, nil, now, witnessed)
}

// verify is Verify with a log policy, whose logs and witnesses must not hold any
// other pinned key.
func (b *Bundle) verify(trust *Trust, log *auditlog.Policy, now time.Time, witnessed *time.Time) (*Result, error) {
	roster, err := trust.usable(log)
	if err != nil {
		return nil, err
	}
	if err := keys.CheckNow(now); err != nil {
		return nil, err
	}
	a := b.about()
	if a.mode != trust.Mode {
		return nil, strict.Errorf(b.file, "is a %s bundle (fleet %s, namespace %s); a %s one is wanted",
			a.mode, a.fleet, a.namespace, trust.Mode).
			WithHint("A rehearsal needs a policy of its own: a production policy never accepts a rehearsal, nor the other way round.")
	}
	if b.KeySet != nil {
		if faults := b.KeySet.Voices(roster); len(faults) > 0 {
			return nil, strict.Errorf(b.file, "%s: whoever holds such a key can answer in the place of an HSM", strings.Join(faults, "; ")).WithHint(keepHint)
		}
	}
	if a.namespace != trust.Namespace {
		return nil, strict.Errorf(b.file, "is of namespace %s; %s is pinned", a.namespace, trust.Namespace)
	}
	res := new(Result)
	count := func(list *[]Signer, w keys.Window, s Signer) {
		if !w.Counts(now, witnessed) {
			list = &res.Expired
		}
		*list = append(*list, s)
	}
	if err := b.inTime(now, witnessed); err != nil {
		return nil, err
	}
	for i, s := range b.Statements {
		p := trust.thirdParty(s.Key)
		if p == nil {
			res.Ignored = append(res.Ignored, keyText(s.Key[:]))
			if _, err := trust.addition(s, "", res, now, witnessed); err != nil {
				return nil, strict.Errorf(b.file, "statements[%d]: %v", i, err).WithHint(keepHint)
			}
			continue
		}
		if err := s.Statement.VerifyOnce(s.Key, trust.Seen); err != nil {
			return nil, strict.Errorf(b.file, "statements[%d] by third party %s: %v", i, p.Name, err).WithHint(keepHint)
		}
		if err := madeBy(s.Statement.Time(), now, witnessed); err != nil {
			return nil, strict.Errorf(b.file, "statements[%d] by third party %s was signed at %v", i, p.Name, err)
		}
		lacks, err := trust.addition(s, p.Name, res, now, witnessed)
		switch {
		case err != nil:
			return nil, strict.Errorf(b.file, "statements[%d] by third party %s: %v", i, p.Name, err).WithHint(keepHint)
		case lacks != "" && trust.RequiresAll(p.Name):
			res.Incomplete = append(res.Incomplete, Incomplete{p.Name, lacks})
			continue
		}
		list := &res.ThirdParties
		if slices.ContainsFunc(res.ThirdParties, func(x Signer) bool { return x.Name == p.Name }) {
			list = &res.Repeated
		}
		count(list, p.Window, Signer{Name: p.Name, Key: keyText(s.Key[:]), Time: s.Statement.Time()})
	}
	var operators []Signer
	algorithms := map[string]Algorithm{}
	for i, c := range b.Countersignatures {
		o := trust.operator(c.Key)
		if o == nil {
			res.Ignored = append(res.Ignored, keyText(c.Key.SPKI()))
			continue
		}
		if err := b.checkCountersignature(c, o, trust.Seen); err != nil {
			return nil, strict.Errorf(b.file, "countersignatures[%d] by operator %s: %v", i, o.Name, err).WithHint(keepHint)
		}
		one := Signer{Name: o.Name, Key: keyText(c.Key.SPKI())}
		algorithms[one.Key] = c.Key.Algorithm()
		count(&operators, o.Window, one)
	}
	res.Operators = trust.complete(operators, algorithms, res)
	for _, name := range trust.Parties() {
		if !slices.ContainsFunc(res.ThirdParties, func(x Signer) bool { return x.Name == name }) {
			res.Absent = append(res.Absent, name)
		}
	}
	if len(res.ThirdParties) < trust.Needed || len(res.Operators) == 0 {
		return nil, &Short{File: b.file, Needed: trust.Needed, Countersigned: len(res.Operators) > 0, Result: res}
	}
	return res, nil
}

// inTime refuses an artifact that states a time of creation after witnesses saw
// its log entry, or after the time at which it is judged.
func (b *Bundle) inTime(now time.Time, witnessed *time.Time) error {
	created := b.created()
	if err := madeBy(created, now, witnessed); err != nil {
		return strict.Errorf(b.file, "its artifact was created at %v", err)
	}
	return nil
}

func (b *Bundle) created() time.Time {
	if b.Notice != nil {
		return b.Notice.Created
	}
	return b.KeySet.Created
}

// madeBy checks the time that a signer states. Clocks may differ by
// [keys.ClockTolerance], but nothing is signed after it was seen.
func madeBy(t, now time.Time, witnessed *time.Time) error {
	switch {
	case t.After(now.Add(keys.ClockTolerance)):
		return fmt.Errorf("%s, which is after %s, the time it is judged at", strict.FormatTime(t), strict.FormatTime(now))
	case witnessed != nil && t.After(witnessed.Add(keys.ClockTolerance)):
		return fmt.Errorf("%s, which is after %s, by when witnesses had seen it", strict.FormatTime(t), strict.FormatTime(*witnessed))
	}
	return nil
}

func (b *Bundle) checkCountersignature(c Countersignature, o *Operator, seen *keys.Seen) error {
	if c.Form != o.Form {
		return fmt.Errorf("has form %s; %s is pinned", c.Form, o.Form)
	}
	msg, err := countersignMessage(c.Form, b.about(), b.Statements)
	if err != nil {
		return err
	}
	return seen.Verify(o.Key, keys.ForCountersignature, msg, c.Signature)
}
