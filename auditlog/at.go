package auditlog

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// SetWindow says when the signatures of one of the policy's keys count, a log's
// or a witness's. vkey is the key as the policy's text has it.
func (p *Policy) SetWindow(vkey string, w Window) error {
	v, err := parseVKey(vkey)
	if err != nil {
		return err
	}
	known := p.known(func(o *Verifier) bool { return o.String() == v.String() })
	if known == nil {
		return fmt.Errorf("is no key of the policy: its logs and witnesses have others")
	}
	if _, set := p.windows[known]; set {
		return fmt.Errorf("has a window already")
	}
	if p.windows == nil {
		p.windows = map[*Verifier]keys.Window{}
	}
	p.windows[known] = w
	return nil
}

// KeyWindow is the window of one of a policy's keys.
type KeyWindow struct {
	Key    string // the vkey
	Window Window
}

// Windows are those that were set, in the order of logs and witnesses.
func (p *Policy) Windows() (list []KeyWindow) {
	add := func(v *Verifier) {
		if w, set := p.windows[v]; set {
			list = append(list, KeyWindow{v.String(), w})
		}
	}
	for _, l := range p.logs {
		add(l.Key)
	}
	for _, w := range p.witnesses {
		add(w.Key)
	}
	return list
}

// VerifyAt is [Policy.Verify] as of the time now, for one entry with any number
// of proofs, by the windows of the policy's keys. The quorum's time is that of
// the earliest quorum among all proofs.
//
// A cosignature with a time after now doesn't count. Nor does one by a key that
// is known, by now, to be compromised, whatever its time: whoever has the key
// chooses the time. A cosignature by a key past its NotAfter counts only if its
// time lies inside the window and a quorum of keys that count now cosigned the
// same checkpoint, or a larger one that is proven to continue it. Such a larger
// checkpoint comes with another of the proofs, or in later: requests to a witness
// (C2SP tlog-witness) whose checkpoints are cosigned.
//
// A log's signature has no time of its own. It counts by the quorum's time.
func (p *Policy) VerifyAt(leaf []byte, now time.Time, proofs []*Proof, later ...*Request) (*Inclusion, error) {
	if err := keys.CheckNow(now); err != nil {
		return nil, err
	}
	if len(proofs) == 0 {
		return nil, strict.Errorf("", "there is no proof to be judged")
	}
	list := make([]*Inclusion, len(proofs))
	for i, pr := range proofs {
		in, err := p.Verify(leaf, pr)
		if err != nil {
			return nil, err
		}
		list[i] = in
	}
	backed, err := p.backed(list, later, now)
	if err != nil {
		return nil, err
	}
	var best *Inclusion
	for i, in := range list {
		in.Cosigning = *p.weigh(&in.Cosigning, now, backed[i])
		in.LogOutside = p.outside(in, now)
		best = better(best, in)
	}
	return best, nil
}

// backed says of each proof whether a quorum of keys that count now cosigned a
// larger checkpoint that continues the proof's. It is an error if a checkpoint
// in later continues none of them.
func (p *Policy) backed(list []*Inclusion, later []*Request, now time.Time) ([]bool, error) {
	backed := make([]bool, len(list))
	for _, r := range later {
		c, err := p.VerifyCheckpoint(r.Checkpoint)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(in *Inclusion) bool { return in.Size == r.Old && in.Origin == r.Checkpoint.Origin })
		if i < 0 {
			return nil, strict.Errorf(r.file, "continues a checkpoint of %d entries, and no proof here has one", r.Old).
				WithHint("fleetctl log prove --consistency SIZE, with the size of the proof that is to be supported")
		}
		if err := r.Verify(list[i].Root); err != nil {
			return nil, err
		}
		backed[i] = backed[i] || p.weigh(c, now, false).Quorum
	}
	if len(p.windows) == 0 {
		return backed, nil // no key is past its window, so nothing needs support
	}
	// Proofs of one checkpoint support each other: it may have been cosigned
	// by others in each.
	for i, in := range list {
		for _, other := range list {
			if in.Origin == other.Origin && in.Size == other.Size && in.Root == other.Root {
				backed[i] = backed[i] || p.weigh(&other.Cosigning, now, false).Quorum
			}
		}
	}
	return backed, nil
}

// weigh leaves out the cosignatures that don't count now. backed says that a
// quorum of keys that count now stands behind the checkpoint, so that
// cosignatures by older keys count too.
func (p *Policy) weigh(c *Cosigning, now time.Time, backed bool) *Cosigning {
	out := &Cosigning{Demanded: c.Demanded, Missing: slices.Clone(c.Missing), Uncounted: slices.Clone(c.Uncounted), OtherKeys: c.OtherKeys}
	times := make([]time.Time, 2*len(p.witnesses))
	live, all := times[:len(p.witnesses)], times[len(p.witnesses):]
	var old []Cosigned
	for i, w := range p.witnesses {
		j := slices.IndexFunc(c.Witnesses, func(x Cosigned) bool { return x.Name == w.Name })
		if j < 0 {
			continue
		}
		x := c.Witnesses[j]
		window := p.windows[w.Key]
		switch why := refuses(window, x.Time, now); {
		case why != "":
			out.Missing = append(out.Missing, w.Name)
			out.Uncounted = append(out.Uncounted, w.Name+": "+why)
			continue
		case window.NotAfter != nil && now.After(*window.NotAfter):
			old = append(old, x)
		default:
			live[i] = x.Time
		}
		all[i] = x.Time
		out.Witnesses = append(out.Witnesses, x)
	}
	q := p.evaluate(live)
	newest := q.last
	switch {
	case len(old) == 0: // live are all
	case q.ok || backed:
		q = p.evaluate(all)
	default:
		for _, x := range old {
			out.Witnesses = slices.DeleteFunc(out.Witnesses, func(y Cosigned) bool { return y.Name == x.Name })
			out.Missing = append(out.Missing, x.Name)
			out.Uncounted = append(out.Uncounted, x.Name+": its key is past its not_after, and no quorum of keys that count now cosigned this checkpoint or a later one")
		}
	}
	out.Quorum, out.QuorumTime, out.NewestQuorumTime = q.ok, q.first, newest
	if q.ok && newest.IsZero() {
		out.NewestQuorumTime = q.last
	}
	return out
}

// refuses says why a cosignature doesn't count, however many others there are.
func refuses(w keys.Window, at, now time.Time) string {
	switch {
	case at.After(now.Add(keys.ClockTolerance)):
		return fmt.Sprintf("it cosigned at %s, which is after %s", strict.FormatTime(at), strict.FormatTime(now))
	case w.CompromisedAfter != nil && !now.Before(*w.CompromisedAfter):
		return fmt.Sprintf("its key is compromised since %s, and whoever has it chooses the time", strict.FormatTime(*w.CompromisedAfter))
	case w.NotBefore != nil && (at.Before(*w.NotBefore) || now.Before(*w.NotBefore)),
		w.NotAfter != nil && at.After(*w.NotAfter):
		return fmt.Sprintf("it cosigned at %s, outside its key's window", strict.FormatTime(at))
	}
	return ""
}

// outside says why no signature of the log counts; empty where one does.
func (p *Policy) outside(in *Inclusion, now time.Time) string {
	for _, key := range in.logs {
		if p.windows[key].Counts(now, in.Witnessed()) {
			return ""
		}
	}
	if in.Quorum {
		return fmt.Sprintf("the window of the log's key covers neither %s, when witnesses had seen it, nor now", strict.FormatTime(in.QuorumTime))
	}
	return "the window of the log's key does not cover this time, and no quorum of witnesses says when it was logged"
}

// better joins what two proofs of one entry show: the larger tree, the earliest
// quorum time and the newest. Cosignatures that don't count now are left out.
func better(a, b *Inclusion) *Inclusion {
	switch {
	case a == nil:
		return b
	case (a.LogOutside == "") != (b.LogOutside == ""):
		if a.LogOutside == "" {
			return a
		}
		return b
	case a.Quorum != b.Quorum:
		if a.Quorum {
			return a
		}
		return b
	}
	out := *a
	if b.Size > a.Size || b.Size == a.Size && b.NewestQuorumTime.After(a.NewestQuorumTime) {
		out = *b
	}
	if a.Quorum {
		out.QuorumTime = a.QuorumTime
		if b.QuorumTime.Before(a.QuorumTime) {
			out.QuorumTime = b.QuorumTime
		}
		out.NewestQuorumTime = a.NewestQuorumTime
		if b.NewestQuorumTime.After(a.NewestQuorumTime) {
			out.NewestQuorumTime = b.NewestQuorumTime
		}
	}
	return &out
}

// SignedBy says whether a log of this policy is among those that signed the
// checkpoint.
func (in *Inclusion) SignedBy(p *Policy) bool {
	return slices.ContainsFunc(in.logs, func(key *Verifier) bool {
		return slices.ContainsFunc(p.logs, func(l Log) bool { return l.Key.String() == key.String() })
	})
}

// CountAt gives the part of a verified cosigning that counts at the time now, by
// the windows of the policy's keys: see [Policy.VerifyAt]. The policy may be nil.
func (p *Policy) CountAt(c *Cosigning, now time.Time) *Cosigning {
	if p == nil {
		return c
	}
	return p.weigh(c, now, false)
}
