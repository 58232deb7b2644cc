package report

import (
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
)

// Failures say why a drill failed; none if it passed. Stages that were not run are no
// failure: which must be run, the plan says.
func (r *Report) Failures() (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, s := range r.Stages {
		if s.Outcome == Failed {
			add("stage %s failed: %s", s.Name, s.Reason)
		}
	}
	for _, t := range r.Tests {
		if t.Failed > 0 {
			add("test %s of stage %s failed in %d of %d runs", t.Name, t.Stage, t.Failed, t.Runs)
		}
	}
	for _, h := range r.Histories {
		if h.Result != Linearizable {
			add("history %s is %s", h.Name, h.Result)
		}
	}
	n := r.Counts
	if n.ReleasedAfterLock > 0 {
		add("%d keys were released after a lock", n.ReleasedAfterLock)
	}
	if n.WithoutMajority > 0 {
		add("%d guesses were answered or spent without a majority", n.WithoutMajority)
	}
	// What was answered was counted; of what was not answered, some may have been.
	if n.Consumed < n.Acknowledged || n.Consumed > n.Acknowledged+n.Ambiguous {
		add("%d guesses were counted; %d were answered, and %d more may have been counted", n.Consumed, n.Acknowledged, n.Ambiguous)
	}
	return append(append(list, r.denied()...), r.Faults...)
}

// denied are the stages and tests that passed, by what is said of them, and of which the
// counts say that they can't have been run.
func (r *Report) denied() (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	n := r.Counts
	if !slices.ContainsFunc(r.Stages, func(s Stage) bool { return s.Outcome != NotRun }) {
		add("no stage was run")
	}
	for _, s := range r.Stages {
		if s.Outcome == Passed && s.Name != ceremony.StageSessions && (n.Logins == 0 || len(r.Histories) == 0) {
			add("stage %s passed without a login or without a history", s.Name)
		}
	}
	operations := 0
	for _, h := range r.Histories {
		operations += h.Operations
	}
	for _, c := range []struct {
		have, least int
		what        string
	}{
		{n.Logins, r.well("right-code") + r.well("last-guess") + r.well("lost-passkey-then-code"), "%d logins, and tests that passed gave %d keys back"},
		{n.Acknowledged, n.Logins + r.well("wrong-code"), "%d guesses were answered, and there were %d logins and wrong codes"},
		{n.Attempts, n.Acknowledged + r.well("right-code-after-lock"), "%d guesses were sent, and %d were answered or came after the lock"},
		{n.Leaders, r.well("leader-killed"), "%d times a node became the leader, and tests that passed killed %d leaders"},
		{operations, n.Acknowledged + n.Logins, "the histories have %d operations, and there were %d guesses and logins"},
	} {
		if c.have < c.least {
			add(c.what, c.have, c.least)
		}
	}
	logins := r.Stage(ceremony.StageLogins)
	for _, x := range r.Nodes {
		each := logins != nil && logins.Outcome == Passed
		switch {
		case x.Led == 0 && (each || r.well("each-node-led", x.HSM) > 0):
			add("node %s never led, and stage %s has passed with each of them", x.HSM, ceremony.StageLogins)
		case x.Acknowledged == 0 && each || x.Acknowledged < r.well("right-code", x.HSM):
			add("node %s answered %d guesses, and stage %s has passed with more", x.HSM, x.Acknowledged, ceremony.StageLogins)
		}
	}
	return list
}

// well is how often a test ended as it must; of these nodes alone, where any are named.
func (r *Report) well(test string, nodes ...string) (n int) {
	for _, t := range r.Tests {
		if t.Name == test && (len(nodes) == 0 || slices.Contains(nodes, t.Node)) {
			n = min(n+max(t.Runs-t.Failed, 0), 1<<53) // more than any count
		}
	}
	return n
}
