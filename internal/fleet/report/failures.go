package report

import (
	"fmt"

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
	if s := r.Stage(ceremony.StageLogins); s != nil && s.Outcome == Passed && (n.Logins == 0 || len(r.Histories) == 0) {
		add("stage %s passed without a login or without a history", ceremony.StageLogins)
	}
	return append(list, r.Faults...)
}
