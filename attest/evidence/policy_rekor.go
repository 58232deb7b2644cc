package evidence

import (
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// pinnedRekor are the Rekor logs that count, and whose entries in them.
type pinnedRekor struct {
	Logs       []pinnedRekorLog  `strict:"logs"`
	Submitters []pinnedSubmitter `strict:"submitters"`
}

type pinnedRekorLog struct {
	Name      string `strict:"name,token"`
	Version   int    `strict:"version"`
	Origin    string `strict:"origin"`
	Key       string `strict:"key"`
	Org       string `strict:"org,token,optional"`
	Confirmed string `strict:"confirmed,optional"`
}

type pinnedSubmitter struct {
	Name      string `strict:"name,token"`
	Key       string `strict:"key"`
	Org       string `strict:"org,token,optional"`
	Confirmed string `strict:"confirmed,optional"`
	Window    window `strict:"window,optional"`
}

// RekorPins are a policy's Rekor logs and submitters.
type RekorPins struct {
	Logs       []*auditlog.RekorLog
	Submitters []Submitter
}

// Submitter is a pinned submitter's key.
type Submitter struct {
	Name   string
	Key    *auditlog.PublicKey
	Window auditlog.Window
}

// Keys are the submitters' alone.
func (r *RekorPins) Keys() []*auditlog.PublicKey {
	list := make([]*auditlog.PublicKey, len(r.Submitters))
	for i, s := range r.Submitters {
		list[i] = s.Key
	}
	return list
}

// Submits says whether a submitter's key is pinned.
func (r *RekorPins) Submits(k *auditlog.PublicKey) bool {
	return slices.ContainsFunc(r.Submitters, func(s Submitter) bool { return s.Key.Fingerprint() == k.Fingerprint() })
}

// Find gives the log that an entry says it is from, nil if none is pinned.
func (r *RekorPins) Find(e *auditlog.RekorEntry) *auditlog.RekorLog {
	i := slices.IndexFunc(r.Logs, func(l *auditlog.RekorLog) bool { return l.Version() == e.Version && l.ID() == e.LogID })
	if i < 0 {
		return nil
	}
	return r.Logs[i]
}

func (c *policyChecker) rekor() {
	f := c.f.Rekor
	if f == nil {
		return
	}
	root := c.root.Get("rekor")
	at := func(list string, i int) int { return root.Get(list).Items[i].Line }
	c.p.Rekor = &RekorPins{}
	if len(f.Logs) == 0 && root.Get("logs") != nil {
		c.failf(root.Line, "rekor pins no log: an entry counts in none")
	}
	if len(f.Submitters) == 0 && root.Get("submitters") != nil {
		c.failf(root.Line, "rekor pins no submitter: nobody's entry counts")
	}
	for i, l := range f.Logs {
		c.unpinned("Rekor log", l.Name, l.Confirmed)
		if l.Origin == "" || l.Key == "" || l.Version == 0 && c.root.Get("rekor").Get("logs").Items[i].Get("version") == nil {
			continue // is missing, and that is said already
		}
		log, err := auditlog.NewRekorLog(l.Version, l.Origin, l.Key)
		if err != nil {
			c.failf(at("logs", i), "Rekor log %q: %v", l.Name, err)
			continue
		}
		if slices.ContainsFunc(c.p.Rekor.Logs, func(o *auditlog.RekorLog) bool { return o.ID() == log.ID() && o.Version() == log.Version() }) {
			c.failf(at("logs", i), "Rekor log %q has the key of another", l.Name)
		}
		c.enter(at("logs", i), keys.PartLog, l.Name, log.Point())
		c.p.Rekor.Logs = append(c.p.Rekor.Logs, log)
	}
	for i, s := range f.Submitters {
		c.unpinned("submitter", s.Name, s.Confirmed)
		if s.Key == "" {
			continue
		}
		k, err := auditlog.ParsePublicKey(s.Key)
		switch {
		case err != nil:
			c.failf(at("submitters", i), "submitter %q: key %v", s.Name, err)
			continue
		case k.Algorithm() != keys.P256:
			c.failf(at("submitters", i), "submitter %q: the key is %s; Rekor of both versions takes ecdsa-p256", s.Name, k.Algorithm())
		case slices.ContainsFunc(c.p.Rekor.Submitters, func(o Submitter) bool { return o.Key.Fingerprint() == k.Fingerprint() }):
			c.failf(at("submitters", i), "submitter %q has the key of another", s.Name)
		}
		c.enter(at("submitters", i), keys.PartSubmitter, s.Name, k.Point())
		c.p.Rekor.Submitters = append(c.p.Rekor.Submitters, Submitter{s.Name, k, keys.Window(s.Window)})
	}
}

// rekor grades what a Rekor entry beside a bundle shows. One that is there and
// does not verify is wrong, whatever the policy demands.
func (v *verifier) rekor(file string, leaf, entry []byte) {
	where := file + ".rekor.json"
	pins := v.policy.Rekor
	if entry == nil {
		detail, next := "there is no Rekor entry beside it", "fleetctl log append "+file+" --rekor URL --submitter-key KEY --policy POLICY"
		if pins == nil {
			detail, next = "the policy pins no Rekor log", "pin log and submitters under rekor:"
			where = v.policy.File
		}
		v.lack(ClaimRekor, where, next, "%s", detail)
		return
	}
	e, err := auditlog.ParseRekorEntry(where, entry)
	switch {
	case err != nil:
		v.fault(where, err)
		return
	case !e.Holds(leaf):
		v.problem(where, "", "is about another bundle: its envelope wraps other bytes")
		return
	case pins == nil:
		v.lack(ClaimRekor, v.policy.File, "pin log and submitters under rekor:", "the policy pins no Rekor log, so %s can't be judged", where)
		return
	}
	log := pins.Find(e)
	if log == nil {
		v.problem(where, "its log may be another, or may have changed its key: confirm the key with the log's operator before you pin it",
			"is of a Rekor log of version %d with id %x…, none of the %d that the policy pins", e.Version, e.LogID[:8], len(pins.Logs))
		return
	}
	in, err := log.Verify(leaf, e, pins.Keys(), v.policy.Log)
	if err != nil {
		v.fault(where, err)
		return
	}
	in.Cosigning = *v.policy.Log.CountAt(&in.Cosigning, v.now)
	v.submitted(where, in)
}

func (v *verifier) submitted(where string, in *auditlog.RekorInclusion) {
	i := slices.IndexFunc(v.policy.Rekor.Submitters, func(s Submitter) bool { return s.Key == in.Submitter })
	s := v.policy.Rekor.Submitters[i]
	if !s.Window.Counts(v.now, in.Witnessed()) {
		v.lack(ClaimRekor, where, "a witness quorum's cosignature on the log's checkpoint can show when it was made",
			"%s submitted it, but its key's window does not cover %s", s.Name, strict.FormatTime(v.r.Time))
		return
	}
	at := ""
	if !in.Integrated.IsZero() {
		at = fmt.Sprintf(", %s by the log's clock", strict.FormatTime(in.Integrated))
	}
	v.show(ClaimRekor, Proven, where, "entry %d, %s, submitted by %s%s", in.Index, in.Origin, s.Name, at)
}
