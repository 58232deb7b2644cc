package session

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Drill takes the report of a drill into a ceremony, or records why there is none.
type Drill struct {
	Report string // its file
	None   string // why there is no drill
	Left   []string
	StandIn
}

// Do records the drill.
func (o *Drill) Do(a *cli.App, j *engine.Journal) (*ceremony.Record, error) {
	if _, err := People(a, j.Account().Plan.Mode, &o.StandIn); err != nil {
		return nil, err
	}
	switch {
	case (o.Report == "") == (o.None == ""):
		return nil, cli.Usagef("", "--report names the report of a drill, --none says why there is none: one of them")
	case o.Report != "" && len(o.Left) > 0:
		return nil, cli.Usagef("", "--left belongs to --none: a report says itself what was left")
	case o.None != "":
		return o.none(a, j)
	}
	data, err := cli.ReadFile(o.Report)
	if err != nil {
		return nil, err
	}
	return TakeDrill(a, j, data)
}

// TakeDrill records a drill by its report, and tells what it came to.
func TakeDrill(a *cli.App, j *engine.Journal, data []byte) (*ceremony.Record, error) {
	screen := NewScreen(a)
	r, rec, err := j.Drilled(data)
	if err != nil {
		return nil, cli.Usage(err)
	}
	a.UI.Say(a.UI.Talk.Line("The report is of a reference fleet and no vault. Who signs the close says that this drill was run."))
	rows := [][]string{}
	for _, s := range r.Stages {
		rows = append(rows, []string{s.Name, s.Outcome, s.Reason})
	}
	a.UI.Say(a.UI.Talk.Table([]string{"stage", "outcome", "why"}, rows), "\n")
	c := rec.Content.(*ceremony.Drill)
	why := append(r.Failures(), r.Lacks(j.Account().Plan)...)
	for _, text := range why[min(1, len(why)):] { // the first one is the error
		a.UI.Say(a.UI.Talk.Line(text))
	}
	done := fmt.Sprintf("drill %d %s, and is on the record", c.Number, c.Outcome)
	if len(c.Left) > 0 {
		done += "; something is left in " + strings.Join(c.Left, ", ")
	}
	screen.Done(done, rec)
	if c.Outcome == ceremony.DrillFailed {
		return rec, cli.Wrong(strict.Errorf(j.Dir(), "drill %d failed; record %d says so: %s", c.Number, rec.N, why[0]).
			WithHint("drill again, once that is mended; or have witness and auditor say why you go on without:\nfleetctl ceremony drill %s --none …", words.ShellWord(j.Dir())))
	}
	return rec, nil
}

// none has witness and auditor confirm that there is no drill.
func (o *Drill) none(a *cli.App, j *engine.Journal) (*ceremony.Record, error) {
	if words.Clean(o.None) != o.None || strings.TrimSpace(o.None) != o.None {
		return nil, cli.Usagef("", "--none has characters that can't be seen, or space around it")
	}
	by, confirmed := ByMachine, ByMachine
	if !o.Unattended {
		a.UI.Say(a.UI.Talk.Line("The evidence will say that no drill passed: " + o.None))
		for _, who := range []string{ceremony.Witness, ceremony.Auditor} {
			a.UI.About("drill "+who, "no drill")
			if err := a.UI.Consent(Capital(who)+", so it is.", "no drill"); err != nil {
				return nil, err
			}
		}
		by, confirmed = newAtTerminal(a).By(ceremony.Witness), newAtTerminal(a).By(ceremony.Auditor)
	}
	r, err := j.NotDrilled(o.None, by, confirmed, o.Left...)
	if err != nil {
		return nil, cli.Usage(err)
	}
	NewScreen(a).Done("no drill, and that is on the record", r)
	return r, nil
}
