package page

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// drill writes what drills of the fleet's keys came to, with a heading; nothing where
// the plan has none.
func (d *pageData) drill() error {
	if d.plan.Drill == nil {
		return nil
	}
	d.add("<h2>Drill of a reference fleet</h2>\n")
	return d.drills()
}

// drills writes each drill on the record, in the words of its report.
func (d *pageData) drills() error {
	if err := d.row("<p class=\"note\"><strong>A reference, not a vault.</strong> The server secrets were in the hosts' memory, and only accounts named drill. were served. "+
		"That it was run as it says here is the word of whoever ran it. ", d.attested(), "</p>\n"); err != nil {
		return err
	}
	if len(d.account.Drills) == 0 {
		return d.row("<p>The plan asks for the stages ", strings.Join(d.plan.Drill.Stages, ", "), ". The ceremony did not get to its drill.</p>\n")
	}
	for _, x := range d.account.Drills {
		if x.Outcome == ceremony.DrillNone {
			if err := d.row(d.heading(true, "No drill")+"<p>Record ", strconv.Itoa(x.N), " says why: ", x.Reason, "</p>\n"); err != nil {
				return err
			}
			continue
		}
		path := ceremony.DrillFile(x.Number)
		r, err := report.Parse(path, d.file(path))
		if err != nil {
			return err
		}
		if err := d.drilled(x, r); err != nil {
			return err
		}
	}
	return nil
}

// attested says who attested that the drill was run. The package's page can't: its own
// digest is under what they sign.
func (d *pageData) attested() string {
	if !d.whole {
		return "Who signs the close attests to it: verify names them."
	}
	var who []string
	for _, p := range d.told.People {
		if strings.HasPrefix(p.Close, "agrees") {
			who = append(who, p.Name+" ("+p.Role+")")
		}
	}
	if len(who) == 0 {
		return "Nobody has attested to it: no one agreed to the close."
	}
	return "With the close it is attested by " + strings.Join(who, ", ") + "."
}

// heading begins what is told of one drill. The words are the program's own.
func (d *pageData) heading(grave bool, text string) string {
	tag, class := "h2", "planned"
	if d.whole { // where a section has its own
		tag = "h3"
	}
	if grave {
		class = "grave"
	}
	return "<" + tag + ` class="` + class + `"><span class="what">` + text + "</span></" + tag + ">\n"
}

// drilled writes one drill.
func (d *pageData) drilled(x *ceremony.Drilled, r *report.Report) error {
	d.add(d.heading(x.Outcome == ceremony.DrillFailed, "Drill "+strconv.Itoa(x.Number)+" "+x.Outcome))
	if why := append(r.Failures(), r.Lacks(d.plan)...); len(why) > 0 {
		d.add(`<ul class="otherwise">` + "\n")
		for _, text := range why {
			d.add("<li>", text, "</li>\n")
		}
		d.add("</ul>\n")
	}
	n := r.Counts
	d.add("<dl>\n")
	fact := func(name, text string) { d.add("<dt>"+name+"</dt><dd>", text, "</dd>\n") }
	const clock = "2006-01-02 15:04:05"
	fact("ran", r.Started.Format(clock)+" to "+r.Ended.Format(clock)+" UTC, "+strict.FormatDuration(r.Ended.Sub(r.Started)))
	fact("guesses", fmt.Sprintf("%s sent: %s answered, %s without an answer; the nodes counted %s", words.Number(int64(n.Attempts)), words.Number(int64(n.Acknowledged)), words.Number(int64(n.Ambiguous)), words.Number(int64(n.Consumed))))
	fact("logins", words.Count(int64(n.Logins), "key came back", "keys came back"))
	fact("must never happen", fmt.Sprintf("%s released after a lock; %s answered or spent without a majority", words.Count(int64(n.ReleasedAfterLock), "key", "keys"), words.Count(int64(n.WithoutMajority), "guess", "guesses")))
	for _, h := range r.Histories {
		fact("history", h.Name+": "+words.Count(int64(h.Operations), "operation", "operations")+" of devices, "+h.Result)
	}
	if x := r.Next; x != nil {
		fact("next epoch", fmt.Sprintf("epoch %d of ceremony %s went live, and was retired", x.Epoch, x.Ceremony))
	}
	if left := r.Left(); len(left) > 0 {
		d.add(`<dt>left in</dt><dd class="grave"><span class="what">`, strings.Join(left, ", "), "</span></dd>\n")
	}
	var with []string
	for _, v := range r.Versions {
		with = append(with, v.Name+" "+v.Version)
	}
	fact("with", strings.Join(with, ", "))
	fact("record, report", fmt.Sprintf("%d, %s", x.N, ceremony.DrillFile(x.Number)))
	if err := d.row("</dl>\n"); err != nil {
		return err
	}
	if err := d.drillStages(r); err != nil {
		return err
	}
	if err := d.drillNodes(r); err != nil {
		return err
	}
	return d.drillFigures(r)
}

// drillStages is a table of the stages, with what was tried in each.
func (d *pageData) drillStages(r *report.Report) error {
	d.table("Stages", "stage", "outcome", "tests, and how often each was run")
	for _, s := range r.Stages {
		var tests []string
		at := map[string]int{}
		for _, t := range r.Tests {
			if t.Stage != s.Name {
				continue
			}
			if _, seen := at[t.Name]; !seen {
				tests = append(tests, t.Name)
			}
			at[t.Name] += min(t.Runs, 1<<53-at[t.Name])
		}
		for i, name := range tests {
			tests[i] = fmt.Sprintf("%s %s", name, words.Number(int64(at[name])))
		}
		text := cmp.Or(s.Reason, strings.Join(tests, ", "))
		if s.Reason != "" && len(tests) > 0 {
			text += "; tried: " + strings.Join(tests, ", ")
		}
		class, outcome := drillWeight(s.Outcome), strings.ReplaceAll(s.Outcome, "-", " ")
		err := d.row(`<tr class="`, class, `"><td class="what">`, s.Name, " <small>", explain.DrillStage(s.Name), `</small></td><td class="`, class, `">`, outcome, `</td><td class="wide">`, text, "</td></tr>\n")
		if err != nil {
			return err
		}
	}
	return d.endTable()
}

// drillWeight is the class of a stage's outcome, which a report has one of three of.
func drillWeight(outcome string) string {
	switch outcome {
	case report.Passed:
		return "planned"
	case report.NotRun:
		return "notable"
	}
	return "grave"
}

// drillNodes is a table of the nodes, with what was left in their HSMs.
func (d *pageData) drillNodes(r *report.Report) error {
	d.table("Nodes", "node", "anchor in its HSM, against a disk that is put back")
	for i, n := range r.Nodes {
		a := r.Anchors[i]
		class, text := "planned", a.Where+", removed at "+strict.FormatTime(a.Removed)
		switch {
		case a.Where == report.NoAnchor:
			class, text = "notable", "none: "+a.Reason
		case a.Removed.IsZero():
			class, text = "grave", a.Where+", left: "+a.Reason
		}
		did := fmt.Sprintf("led %s; %s, %s answered", words.Count(int64(n.Led), "time", "times"), words.Count(int64(n.Attempts), "guess", "guesses"), words.Number(int64(n.Acknowledged)))
		if err := d.row(`<tr><td class="what">`, n.HSM, " <small>", did, `</small></td><td class="wide `+class+`">`, text, "</td></tr>\n"); err != nil {
			return err
		}
	}
	return d.endTable()
}

// drillFigures writes what was measured.
func (d *pageData) drillFigures(r *report.Report) error {
	if len(r.Figures) == 0 {
		return nil
	}
	d.add("<p class=\"dim\">Figures, measured on the computer of the drill, and of how many samples</p>\n<dl>\n")
	for _, f := range r.Figures {
		what, amount := f.Words()
		d.add("<dt>", what, "</dt><dd>", amount+", of "+words.Number(int64(f.Samples)), "</dd>\n")
	}
	return d.row("</dl>\n")
}

// table begins a table that scrolls in a box of its own, which the keyboard reaches where
// the markup is not the package's page: that has no attributes for it.
func (d *pageData) table(label string, columns ...string) {
	d.add("<p class=\"dim\">", label, "</p>\n"+`<div class="scroll"`)
	if d.whole {
		d.add(` role="region" tabindex="0" aria-label="`, "Drill: "+label, `"`)
	}
	d.add("><table class=\"people drill\">\n<thead><tr>")
	for _, c := range columns {
		d.add("<th>", c, "</th>")
	}
	d.add("</tr></thead>\n<tbody>\n")
}

func (d *pageData) endTable() error { return d.row("</tbody></table></div>\n") }
