package testfleet

import (
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

// DeniedDrill changes a report of [DrillReport], of three nodes, so that its counts deny
// what it says has passed.
type DeniedDrill struct {
	Change func(*report.Report)
	Says   string // of it, by Go
}

// DeniedDrills are reports that contradict themselves, by what is wrong with them.
func DeniedDrills() map[string]DeniedDrill {
	list := map[string]DeniedDrill{
		"nothing was run": {func(r *report.Report) { DrilledAlone(r) }, "no stage was run"},
		"nothing happened": {func(r *report.Report) {
			r.Counts, r.Histories = report.Counts{}, []report.History{}
			ledSo(r, 0, 0, 0)
			for i := range r.Nodes {
				n := &r.Nodes[i]
				n.Attempts, n.Acknowledged, n.Ambiguous = 0, 0, 0
			}
		}, "stage lock passed without a login or without a history"},
		"fewer keys than came back": {func(r *report.Report) { r.Counts.Logins = 5 }, "5 logins, and tests that passed gave 6 keys back"},
		"a wrong code not answered": {func(r *report.Report) { r.Counts.Logins = 90 }, "90 guesses were answered, and there were 93 logins and wrong codes"},
		"no guess after the lock": {func(r *report.Report) {
			r.Counts.Attempts, r.Counts.Ambiguous, r.Counts.Consumed = 92, 0, 90
		}, "92 guesses were sent, and 93 were answered or came after the lock"},
		"no leader after the killed": {func(r *report.Report) {
			DrilledAlone(r, ceremony.StageFaults)
			ledSo(r, 1, 1, 0)
		}, "2 times a node became the leader, and tests that passed killed 3 leaders"},
		"leaders of no node":     {func(r *report.Report) { r.Counts.Leaders++ }, "10 times a node became the leader, and the nodes 9 times"},
		"a node that never led":  {func(r *report.Report) { ledSo(r, 5, 5, 0) }, "node hsm-3 never led"},
		"more without an answer": {func(r *report.Report) { r.Counts.Ambiguous, r.Counts.Attempts = 4, 94 }, "and the nodes had 96, 90 and 3"},
		"a history too short":    {func(r *report.Report) { r.Histories[0].Operations = 149 }, "the histories have 149 operations, and there were 150 guesses and logins"},
		"a history of what was not run": {func(r *report.Report) {
			r.Histories = append(r.Histories, report.History{Name: ceremony.StageSuccession, Operations: 1, Result: report.Linearizable})
		}, "was not run, and there is a history of it"},
		"a node that has led by a test": {func(r *report.Report) {
			DrilledAlone(r, ceremony.StageLock)
			*r.Stage(ceremony.StageLogins) = report.Stage{Name: ceremony.StageLogins, Outcome: report.Failed, Reason: "hsm-1 hung"}
			r.Tests = append(r.Tests, report.Test{Stage: ceremony.StageLogins, Name: "each-node-led", Node: "hsm-3", Runs: 1})
			ledSo(r, 5, 5, 0)
		}, "node hsm-3 never led"},
		"a node that answered nothing": {func(r *report.Report) {
			r.Nodes[0].Acknowledged, r.Nodes[1].Acknowledged, r.Nodes[1].Attempts = 0, 60, 62
		}, "node hsm-1 answered 0 guesses"},
		"a right code that it didn't answer": {func(r *report.Report) {
			r.Tests = append(r.Tests, report.Test{Stage: ceremony.StageLogins, Name: "right-code", Node: "hsm-2", Runs: 31})
		}, "node hsm-2 answered 30 guesses"},
	}
	for _, name := range ceremony.DrillStages() {
		if name != ceremony.StageSessions {
			list[name+" without a login"] = DeniedDrill{func(r *report.Report) {
				DrilledAlone(r, name)
				r.Counts.Logins = 0
			}, "stage " + name + " passed without a login"}
			list[name+" without a history"] = DeniedDrill{func(r *report.Report) {
				DrilledAlone(r, name)
				r.Histories = []report.History{}
			}, "stage " + name + " passed without a login or without a history"}
		}
	}
	return list
}

// DrilledAlone has a report tell of these stages, and of no other.
func DrilledAlone(r *report.Report, stages ...string) {
	r.Tests = []report.Test{}
	measured := []string{report.AnchorMedian}
	for _, name := range stages {
		measured = append(measured, report.Measured(name)...)
		if r.Stage(name).Outcome == report.NotRun {
			r.Figures = append(r.Figures, took(name))
		}
	}
	r.Figures = slices.DeleteFunc(r.Figures, func(f report.Figure) bool { return !slices.Contains(measured, f.Name) })
	for i, s := range r.Stages {
		r.Stages[i] = report.Stage{Name: s.Name, Outcome: report.NotRun, Reason: "left out"}
		if slices.Contains(stages, s.Name) {
			r.Stages[i] = report.Stage{Name: s.Name, Outcome: report.Passed}
			for _, test := range report.Required(s.Name) {
				r.Tests = append(r.Tests, report.Test{Stage: s.Name, Name: test, Runs: 3})
			}
		}
	}
}

// ledSo has each node have led so often.
func ledSo(r *report.Report, times ...int) {
	r.Counts.Leaders = 0
	for i, n := range times {
		r.Nodes[i].Led = n
		r.Counts.Leaders += n
	}
}
