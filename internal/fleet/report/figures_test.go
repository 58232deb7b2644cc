package report_test

import (
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func withoutFigure(r *report.Report, name string) {
	r.Figures = slices.DeleteFunc(r.Figures, func(f report.Figure) bool { return f.Name == name })
}

func TestAFigureIsOneThatThereIsAndOfSomethingThatWasMeasured(t *testing.T) {
	figure := func(name string, change func(*report.Figure)) func(*report.Report) {
		return func(r *report.Report) {
			i := slices.IndexFunc(r.Figures, func(f report.Figure) bool { return f.Name == name })
			change(&r.Figures[i])
		}
	}
	add := func(f report.Figure) func(*report.Report) {
		return func(r *report.Report) { r.Figures = append(r.Figures, f) }
	}
	for name, c := range map[string]struct {
		change func(*report.Report)
		says   string
	}{
		"of nothing":            {figure(report.GuessMedian, func(f *report.Figure) { f.Samples = 0 }), "of nothing that was measured"},
		"in another unit":       {figure(report.GuessesPerSecond, func(f *report.Figure) { f.Unit = report.Microseconds }), "it is in per-second"},
		"of no such name":       {figure(report.SessionMedian, func(f *report.Figure) { f.Name = "session-best" }), "which there is not"},
		"twice":                 {add(report.Figure{Name: report.GuessMedian, Value: 1, Unit: report.Microseconds, Samples: 100}), "is there twice"},
		"one anchor's twice":    {add(report.Figure{Name: report.AnchorMedian, Node: "hsm-1", Value: 1, Unit: report.Microseconds, Samples: 1}), "is there twice"},
		"of no node":            {figure(report.AnchorMedian, func(f *report.Figure) { f.Node = "" }), "if and only if"},
		"of a node":             {figure(report.GuessMedian, func(f *report.Figure) { f.Node = "hsm-1" }), "if and only if"},
		"of a node unknown":     {figure(report.AnchorMedian, func(f *report.Figure) { f.Node = "hsm-9" }), "has no anchor"},
		"below the median":      {figure(report.GuessP99, func(f *report.Figure) { f.Value = 4499 }), "doesn't fit to guess-median"},
		"of other samples":      {figure(report.FailOverWorst, func(f *report.Figure) { f.Samples++ }), "doesn't fit to fail-over-median"},
		"a stage's left out":    {func(r *report.Report) { withoutFigure(r, report.FailOverWorst) }, "passed without the figure fail-over-worst"},
		"of what wasn't run":    {add(report.Figure{Name: report.StageTook("passkey"), Value: 1, Unit: report.Microseconds, Samples: 1}), "which was not run"},
		"a stage's time hidden": {func(r *report.Report) { withoutFigure(r, report.StageTook("lock")) }, "passed without the figure stage-lock"},
	} {
		_, err := report.Parse("drill.json", strict.EncodeJSON(drilled(t, c.change)))
		wantError(t, name, err, c.says)
	}
}
