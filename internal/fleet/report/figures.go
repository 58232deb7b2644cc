package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Figure is something measured, in whole units, by a clock that nobody sets.
type Figure struct {
	Name    string `strict:"name,token"`
	Node    string `strict:"node,token,optional"` // of whose HSM it is, where it is of one
	Value   int    `strict:"value"`
	Unit    string `strict:"unit,token"`
	Samples int    `strict:"samples"` // how many were measured
}

// The values of Figure.Unit.
const (
	Microseconds = "us"
	PerSecond    = "per-second"
)

// The values of Figure.Name, beside those of [StageTook].
const (
	SessionMedian    = "session-median"
	GuessMedian      = "guess-median"
	GuessP99         = "guess-p99"
	GuessesPerSecond = "guesses-per-second"
	StretchMedian    = "argon2id-64-mib-median"
	FailOverMedian   = "fail-over-median"
	FailOverWorst    = "fail-over-worst"
	AnchorMedian     = "anchor-write-median" // of each HSM that keeps one
)

// StageTook names the figure that says how long a stage took.
func StageTook(stage string) string { return "stage-" + stage }

// Words say what a figure is of, and how much it is.
func (f Figure) Words() (what, amount string) {
	stage, ok := strings.CutPrefix(f.Name, "stage-")
	switch what = map[string]string{
		SessionMedian: "a session set up, median", GuessMedian: "a guess answered, median", GuessP99: "a guess answered, 99th percentile",
		GuessesPerSecond: "guesses answered a second", StretchMedian: "Argon2id of 64 MiB on the device, median",
		FailOverMedian: "leader killed to next answer, median", FailOverWorst: "leader killed to next answer, worst", AnchorMedian: "anchor written by " + f.Node + ", median",
	}[f.Name]; {
	case ok:
		what = "stage " + stage
	case what == "":
		what = f.Name
	}
	switch {
	case f.Unit != Microseconds:
		return what, words.Number(int64(f.Value))
	case f.Value >= 10_000_000:
		return what, fmt.Sprintf("%.0f s", float64(f.Value)/1e6)
	case f.Value >= 1_000_000:
		return what, fmt.Sprintf("%.1f s", float64(f.Value)/1e6)
	}
	return what, fmt.Sprintf("%.1f ms", float64(f.Value)/1e3)
}

// Measured are the figures that a stage has to list if it passed, and that no other has.
func Measured(stage string) (names []string) {
	switch stage {
	case ceremony.StageSessions:
		names = []string{SessionMedian}
	case ceremony.StageLogins:
		names = []string{GuessMedian, GuessP99, GuessesPerSecond, StretchMedian}
	case ceremony.StageFaults:
		names = []string{FailOverMedian, FailOverWorst}
	}
	return append(names, StageTook(stage))
}

// figures demands that each figure is one that there is, and that a stage that passed
// has its own.
func (c *checker) figures() {
	known := []string{AnchorMedian}
	for _, s := range c.Stages {
		known = append(known, Measured(s.Name)...)
	}
	for i, f := range c.Figures {
		unit := Microseconds
		if f.Name == GuessesPerSecond {
			unit = PerSecond
		}
		switch {
		case !slices.Contains(known, f.Name):
			c.failf("has a figure %s, which there is not", f.Name)
		case f.Unit != unit:
			c.failf("figure %s is in %s; it is in %s", f.Name, f.Unit, unit)
		case f.Samples < 1:
			c.failf("figure %s is of nothing that was measured", f.Name)
		case (f.Name == AnchorMedian) != (f.Node != ""):
			c.failf("figure %s: a node is named if and only if it is of that node's anchor", f.Name)
		case f.Node != "" && !slices.ContainsFunc(c.Anchors, func(a Anchor) bool { return a.HSM == f.Node && a.Where != NoAnchor }):
			c.failf("figure %s is of %s, which has no anchor", f.Name, f.Node)
		case slices.ContainsFunc(c.Figures[:i], func(o Figure) bool { return o.Name == f.Name && o.Node == f.Node }):
			c.failf("figure %s is there twice", f.Name)
		}
	}
	for _, s := range c.Stages {
		for _, name := range Measured(s.Name) {
			switch f := c.figure(name); {
			case f == nil && s.Outcome == Passed:
				c.failf("stage %s passed without the figure %s", s.Name, name)
			case f != nil && s.Outcome == NotRun:
				c.failf("figure %s is of stage %s, which was not run", name, s.Name)
			}
		}
	}
	c.atMost(GuessMedian, GuessP99)
	c.atMost(FailOverMedian, FailOverWorst)
}

// atMost demands that a median is no more than another quantile of the same samples.
func (c *checker) atMost(median, other string) {
	if m, o := c.figure(median), c.figure(other); o != nil && (m == nil || m.Value > o.Value || m.Samples != o.Samples) {
		c.failf("figure %s doesn't fit to %s, of the same samples", other, median)
	}
}

func (r *Report) figure(name string) *Figure {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Figures[i]
}
