package testfleet

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// drillable are the roles of a fleet that can be drilled.
var drillable = []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.ECDHP256}}

// planDrill is the plan's part that asks for these stages; nil if there are none.
func planDrill(stages []string) *ceremony.PlanDrill {
	if len(stages) == 0 {
		return nil
	}
	return &ceremony.PlanDrill{Session: drillable[0].Name, Agreement: drillable[1].Name, Stages: stages}
}

// drill records what a drill would have reported, where the plan has one.
func (f *Fleet) drill(j *engine.Journal) error {
	if err := j.Account().Expects(ceremony.KindDrill); err != nil {
		return nil // the plan has none, or its step is done
	}
	f.clock.at = f.clock.at.Add(5 * time.Minute)
	r := DrillReport(j.Account(), f.clock.at)
	if f.o.Drilled != nil {
		f.o.Drilled(r)
	}
	data, err := r.Encode()
	if err == nil {
		_, _, err = j.Drilled(data)
	}
	return err
}

// Succeed has a report of a drill tell of a second epoch too, which follows an artifact.
func Succeed(r *report.Report, artifact [32]byte) {
	sum := func(what string) [32]byte { return sha256.Sum256([]byte("the next epoch's " + what)) }
	*r.Stage(ceremony.StageSuccession) = report.Stage{Name: ceremony.StageSuccession, Outcome: report.Passed}
	r.Figures = append(r.Figures, took(ceremony.StageSuccession))
	for _, test := range report.Required(ceremony.StageSuccession) {
		r.Tests = append(r.Tests, report.Test{Stage: ceremony.StageSuccession, Name: test, Runs: 3})
	}
	r.Histories = append(r.Histories, report.History{Name: ceremony.StageSuccession, Operations: 33, SHA256: sum("history"), Result: report.Linearizable})
	r.Next = &report.Next{
		Epoch: r.Epoch + 1, Ceremony: r.Ceremony + ".next", Artifact: sum("artifact"), Previous: artifact,
		Bundle: sum("bundle"), Proof: sum("proof"), Retirement: sum("retirement"), Nodes: []report.NextNode{},
	}
	for _, n := range r.Nodes {
		next := report.NextNode{HSM: n.HSM, Session: sum(n.HSM)}
		next.Proof = &report.Session{Bundle: r.Next.Bundle, Proof: r.Next.Proof, Peer: next.Session, Protocol: report.Protocol, Group: "X25519MLKEM768", Verdict: report.Accepted}
		r.Next.Nodes = append(r.Next.Nodes, next)
	}
}

func took(stage string) report.Figure {
	return report.Figure{Name: report.StageTook(stage), Value: 30000000, Unit: report.Microseconds, Samples: 1}
}

// DrillReport is the report of a drill of a ceremony that went well, and ended at a time.
// No drill was run: everything in it is made up, but for the names and digests.
func DrillReport(a *ceremony.Account, ended time.Time) *report.Report {
	p, began := a.Plan, ended.Add(-4*time.Minute)
	r := &report.Report{
		Format: report.Format, Notice: report.Notice, Mode: p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: p.Epoch,
		Ceremony: a.Open.Ceremony, Bundle: a.LogProof.Bundle, Proof: a.LogProof.Proof,
		Started: began.UTC().Truncate(time.Second), Ended: ended.UTC().Truncate(time.Second), Majority: p.Majority, Outcome: report.Passed,
		Faults: []string{}, Versions: []report.Version{{Name: "fleetctl", Version: "test"}},
		Counts:    report.Counts{Logins: 20 * len(p.HSMs), Attempts: 32 * len(p.HSMs), Acknowledged: 30 * len(p.HSMs), Ambiguous: len(p.HSMs), Consumed: 30*len(p.HSMs) + 1, Leaders: 3 * len(p.HSMs)},
		Histories: []report.History{{Name: "logins", Operations: 60 * len(p.HSMs), SHA256: sha256.Sum256([]byte("logins")), Result: report.Linearizable}},
		Figures: []report.Figure{
			{Name: report.SessionMedian, Value: 2100, Unit: report.Microseconds, Samples: 30},
			{Name: report.GuessMedian, Value: 4500, Unit: report.Microseconds, Samples: 100},
			{Name: report.GuessP99, Value: 19000, Unit: report.Microseconds, Samples: 100},
			{Name: report.GuessesPerSecond, Value: 180, Unit: report.PerSecond, Samples: 128},
			{Name: report.StretchMedian, Value: 140000, Unit: report.Microseconds, Samples: 3},
			{Name: report.FailOverMedian, Value: 1100000, Unit: report.Microseconds, Samples: 11},
			{Name: report.FailOverWorst, Value: 1900000, Unit: report.Microseconds, Samples: 11},
			{Name: report.AnchorMedian, Node: p.HSMs[0].Name, Value: 350, Unit: report.Microseconds, Samples: 16},
		},
	}
	for i, h := range p.HSMs {
		n := report.Node{HSM: h.Name, Attempts: 32, Acknowledged: 30, Ambiguous: 1, Led: 3}
		for _, k := range a.Keys {
			used := report.Key{ID: slices.Clone(k.Intent.ID), SPKI: sha256.Sum256(k.Outcome.PublicKey)}
			switch {
			case k.HSM != h.Name:
			case k.Role == p.Drill.Session:
				n.Session = used
			case k.Role == p.Drill.Agreement:
				n.Agreement = used
			}
		}
		n.Proof = &report.Session{Bundle: r.Bundle, Proof: r.Proof, Peer: n.Session.SPKI, Protocol: report.Protocol, Group: "X25519MLKEM768", Verdict: report.Accepted}
		r.Nodes = append(r.Nodes, n)
		at := r.Started.Add(time.Duration(i+1) * time.Second)
		r.Anchors = append(r.Anchors, report.Anchor{HSM: h.Name, Where: "TPM NV index", Created: at, Removed: r.Ended})
	}
	for _, name := range ceremony.DrillStages() {
		s := report.Stage{Name: name, Outcome: report.Passed}
		if name == ceremony.StageSuccession || name == ceremony.StagePasskey {
			s.Outcome, s.Reason = report.NotRun, "left out"
		} else {
			for _, test := range report.Required(name) {
				r.Tests = append(r.Tests, report.Test{Stage: name, Name: test, Runs: 3})
			}
			r.Figures = append(r.Figures, took(name))
		}
		r.Stages = append(r.Stages, s)
	}
	return r
}
