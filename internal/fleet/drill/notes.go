package drill

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

// Screen is where a drill tells what it does, as it does it.
type Screen interface {
	// Stage begins a stage.
	Stage(n, of int, name string)
	// Did says that something was tried; err is set where it didn't end as it must.
	Did(what string, err error)
	// NotRun says why a stage, or a part of it, was not run.
	NotRun(why string)
	// Doing shows how far something long is.
	Doing(what string, done, total int)
}

// notes are what a drill has to tell so far. Several devices add to them at a time.
type notes struct {
	mu     sync.Mutex
	screen Screen
	stage  *report.Stage
	r      *report.Report
}

// begin begins a stage; it has passed unless something says otherwise.
func (n *notes) begin(at, of int, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.r.Stages = append(n.r.Stages, report.Stage{Name: name, Outcome: report.Passed})
	n.stage = &n.r.Stages[len(n.r.Stages)-1]
	n.screen.Stage(at, of, name)
}

// tried notes one run of a test. node is empty where it is of no single node.
func (n *notes) tried(name, node, what string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.r.Tests, func(t report.Test) bool {
		return t.Stage == n.stage.Name && t.Name == name && t.Node == node
	})
	if i < 0 {
		i = len(n.r.Tests)
		n.r.Tests = append(n.r.Tests, report.Test{Stage: n.stage.Name, Name: name, Node: node})
	}
	t := &n.r.Tests[i]
	t.Runs++
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
		t.Failed++
		n.failed(what + ": " + err.Error())
	}
	if what != "" {
		n.screen.Did(what, err)
	}
}

// failed has the stage fail, for the first reason that is given.
func (n *notes) failed(why string) {
	if n.stage.Outcome != report.Failed {
		n.stage.Outcome, n.stage.Reason = report.Failed, clip(why)
	}
}

// notRun says that the stage was not run; what was tried of it all the same is told on
// the screen alone.
func (n *notes) notRun(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stage.Outcome == report.Failed {
		return
	}
	n.stage.Outcome, n.stage.Reason = report.NotRun, clip(why)
	n.r.Tests = slices.DeleteFunc(n.r.Tests, func(t report.Test) bool { return t.Stage == n.stage.Name })
	n.screen.NotRun(why)
}

// fault notes what makes the whole drill fail.
func (n *notes) fault(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.r.Faults = append(n.r.Faults, clip(why))
}

// clip has a text fit into a report: one line, of a bounded length.
func clip(s string) string {
	out := make([]rune, 0, len(s))
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		if out = append(out, c); len(string(out)) > 400 {
			return string(out) + "…"
		}
	}
	return string(out)
}
