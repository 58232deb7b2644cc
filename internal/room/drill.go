package room

import (
	"fmt"
	"path/filepath"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/words"
)

// drill waits for the report of a drill, and records it. One that failed is recorded too,
// and another may come. The drill itself opens the HSMs, in a process of its own.
func (r *Room) drill(j *engine.Journal) error {
	a, dir := j.Account(), words.ShellWord(r.Config.Dir)
	r.say("The drill is run beside this room, in a folder of its own; its report, drill.json, comes into " + r.Exchange + ". It is run with")
	r.App.UI.Say(r.App.UI.Talk.Line("fleetctl fleet drill "+dir+" --site SITE --policy DEVICE-POLICY --out drill"), "\n")
	r.say("To go on without one, leave the room and have witness and auditor say why; then come back with the same command:")
	r.App.UI.Say(r.App.UI.Talk.Line("fleetctl ceremony drill "+dir+" --none '…'"), "\n")
	_, data, err := r.wait(awaited{
		name:     "drill",
		question: fmt.Sprintf("Step %d of %d. The drill's report comes into %s; or where is it:", a.StepNumber(), len(a.Steps), r.Exchange),
		expected: "the report of a drill of this fleet, drill.json",
		is: func(file string, data []byte) bool {
			_, err := report.Parse(file, data)
			return err == nil
		},
		unfit: func(file string, data []byte) string { return r.unfitDrill(a, file, data) },
	})
	if err != nil {
		return err
	}
	r.notAgain(data) // whatever is wrong with it stays so
	if _, err := session.TakeDrill(r.App, j, data); err != nil {
		r.App.UI.Error(err)
	}
	return nil
}

// unfitDrill says why a file is no report of a drill.
func (r *Room) unfitDrill(a *ceremony.Account, file string, data []byte) string {
	if _, err := bundle.ParseAnswer(file, data, a.Plan.PartyKeys()); err == nil || r.isPast(file, data) || isProof(data) {
		return ""
	}
	_, err := report.Parse(file, data)
	switch {
	case err == nil:
		return ""
	case filepath.Ext(file) != ".json":
		return "it is no report of a drill"
	}
	return cli.InWords(err)
}
