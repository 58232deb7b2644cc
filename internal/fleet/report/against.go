package report

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Of reads a report, holds it against the ceremony that it has to be about, and gives the
// record that belongs to it: the number-th drill, which can have begun at since and was
// recorded at the given time. What the ceremony's records don't say, such as whether the
// drill was run as the report has it, nobody can check.
func Of(file string, data []byte, a *ceremony.Account, number int, since, recorded time.Time) (*Report, *ceremony.Drill, error) {
	r, err := Parse(file, data)
	if err != nil {
		return nil, nil, err
	}
	h := &holder{checker: checker{Report: r, file: file}, a: a}
	switch {
	case a.Plan.Drill == nil:
		return nil, nil, strict.Errorf(file, "is of a drill, and the plan has none")
	case a.LogProof == nil:
		return nil, nil, strict.Errorf(file, "is of a drill, and no proof of the bundle is on the record yet: nodes would have had nothing to answer with")
	}
	h.about()
	h.times(since, recorded)
	h.keys()
	if err := h.faults.Err(); err != nil {
		return nil, nil, err
	}
	c := &ceremony.Drill{Number: number, Outcome: Passed, Report: sha256.Sum256(data), Size: len(data), Left: r.Left()}
	if r.Outcome == Failed || len(r.Lacks(a.Plan)) > 0 {
		c.Outcome = Failed
	}
	return r, c, nil
}

// Lacks are the stages that the plan demands and that have not passed, each with why.
func (r *Report) Lacks(p *ceremony.Plan) (list []string) {
	if p.Drill == nil {
		return nil
	}
	for _, name := range p.Drill.Stages {
		if s := r.Stage(name); s == nil || s.Outcome == NotRun {
			why := ""
			if s != nil {
				why = ": " + s.Reason
			}
			list = append(list, fmt.Sprintf("stage %s, which the plan demands, was not run%s", name, why))
		}
	}
	return list
}

// holder holds a report against a ceremony.
type holder struct {
	checker
	a *ceremony.Account
}

func (h *holder) about() {
	p := h.a.Plan
	for _, f := range []struct{ what, have, want string }{
		{"mode", h.Mode, p.Mode}, {"fleet", h.Fleet, p.Fleet}, {"namespace", h.Namespace, p.Namespace}, {"ceremony", h.Ceremony, h.a.Open.Ceremony},
	} {
		if f.have != f.want {
			h.failf("is of the %s %s, this ceremony's is %s", f.what, strict.Clip(f.have), f.want)
		}
	}
	switch {
	case h.Epoch != p.Epoch:
		h.failf("is of epoch %d, this ceremony's is %d", h.Epoch, p.Epoch)
	case h.Majority != p.Majority:
		h.failf("its nodes committed with %d, the plan's majority is %d", h.Majority, p.Majority)
	case h.Bundle != h.a.LogProof.Bundle:
		h.failf("its nodes answered with the bundle %x…, the ceremony's is %x…", h.Bundle[:8], h.a.LogProof.Bundle[:8])
	case h.Proof != h.a.LogProof.Proof:
		h.failf("its nodes answered with the proof %x…, the ceremony's is %x…", h.Proof[:8], h.a.LogProof.Proof[:8])
	}
	if r := h.a.Release; h.Next != nil && (r == nil || h.Next.Previous != r.Artifact) {
		h.failf("its next epoch follows the artifact %x…, which is not this ceremony's", h.Next.Previous[:8])
	}
	if s := h.Stage(ceremony.StageSuccession); p.Mode == ceremony.Production && s != nil && s.Outcome != NotRun {
		h.failf("tells of stage %s, which takes a second epoch; a production ceremony has one, and lists the stage as not run", ceremony.StageSuccession)
	}
}

func (h *holder) times(since, recorded time.Time) {
	switch {
	case h.Started.Before(since.Add(-keys.ClockTolerance)):
		h.failf("the drill began at %s, and the bundle's proof was recorded at %s: nodes had nothing to answer with", strict.FormatTime(h.Started), strict.FormatTime(since))
	case h.Ended.After(recorded.Add(keys.ClockTolerance)):
		h.failf("the drill ended at %s, and was recorded at %s: that is in the future", strict.FormatTime(h.Ended), strict.FormatTime(recorded))
	}
}

// keys demands a node for each of the plan's HSMs, in the plan's order, with that HSM's
// own two keys.
func (h *holder) keys() {
	p := h.a.Plan
	if len(h.Nodes) != len(p.HSMs) {
		h.failf("has %d nodes, the plan has %d HSMs: each is drilled", len(h.Nodes), len(p.HSMs))
		return
	}
	for i, n := range h.Nodes {
		if n.HSM != p.HSMs[i].Name {
			h.failf("node %d is of %s; in the plan's order it is of %s", i+1, n.HSM, p.HSMs[i].Name)
			continue
		}
		h.key(n.HSM, p.Drill.Session, n.Session)
		h.key(n.HSM, p.Drill.Agreement, n.Agreement)
	}
}

func (h *holder) key(hsm, role string, have Key) {
	i := slices.IndexFunc(h.a.Keys, func(k *ceremony.Key) bool { return k.HSM == hsm && k.Role == role && k.Outcome != nil })
	if i < 0 || !bytes.Equal(h.a.Keys[i].Intent.ID, have.ID) || sha256.Sum256(h.a.Keys[i].Outcome.PublicKey) != have.SPKI {
		h.failf("node %s used a %s key that is not the ceremony's: %x, SPKI %x…", hsm, role, have.ID, have.SPKI[:8])
	}
}
