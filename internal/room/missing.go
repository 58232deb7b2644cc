package room

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// whoIsMissing says how many officers have signed what is wanted, who did, who does not
// agree, and who still can sign.
func (w *waiting) whoIsMissing() string {
	m, officers := w.now, 0
	var signed []string
	for _, name := range m.Have {
		if !slices.Contains(m.Against, name) {
			signed = append(signed, name)
		}
	}
	for _, p := range w.account.Plan.People {
		if p.Role == ceremony.Officer && slices.Contains(signed, p.Name) {
			officers++
		}
	}
	what := w.name()
	if m.Exception > 0 {
		what = fmt.Sprintf("exception %d", m.Exception)
	}
	text := fmt.Sprintf("%s: %d of %s.", session.Capital(what), officers, words.Count(int64(m.Want), "officer", "officers"))
	if len(signed) > 0 {
		text += " Signed: " + strings.Join(signed, ", ") + "."
	}
	unheard := w.unheard()
	if len(unheard) > 0 {
		text += " Not yet: " + strings.Join(unheard, "; ") + "."
	}
	switch {
	case len(m.Against) > 0:
		text += " Do not agree: " + strings.Join(m.Against, ", ") + ". " + whileThatStands(w.wish.Stage)
	case m.Why != "":
		text += " " + session.Capital(m.Why) + "."
	}
	if w.wish.Stage != "" && officers >= m.Want && len(m.Against) == 0 && len(unheard) > 0 {
		text += fmt.Sprintf(" The last to speak adds %q; who has not spoken by then is passed over.", "and "+script.Close)
	}
	return text
}

// unheard are those who can sign and have not; on a stage, with what they are.
func (w *waiting) unheard() (list []string) {
	for _, p := range w.account.Plan.People {
		switch {
		case slices.Contains(w.now.Have, p.Name):
		case w.wish.Stage != "":
			list = append(list, p.Name+", "+p.Role)
		case p.Role == ceremony.Officer:
			list = append(list, p.Name)
		}
	}
	return list
}

// enough says that a stage has all the verdicts that it needs.
func (w *waiting) enough() bool { return w.wish.Stage != "" && w.now.Why == "" }

// closes says whether a stage is over: everybody has spoken, or those who have not were
// asked and are passed over by a word that somebody typed.
func (r *Room) closes(w *waiting) bool {
	unheard := w.unheard()
	switch {
	case w.closed && !w.enough():
		w.closed = false
		r.say(fmt.Sprintf("The %s is not closed: %s.", w.wish.Stage, w.now.Why))
		return false
	case !w.enough():
		return false
	case len(unheard) == 0 || r.StandIn.Unattended:
		return true
	case w.closed:
		r.App.UI.Say(r.App.UI.Talk.Step(ui.Noted, fmt.Sprintf("passed over, without a verdict on the %s: %s", w.wish.Stage, strings.Join(unheard, "; ")), ""))
	}
	return w.closed
}

func whileThatStands(stage string) string {
	if stage == ceremony.StageRelease {
		return "Nothing goes out while that stands: they may type another verdict, or it is ended by fleetctl ceremony abort."
	}
	return "The ceremony doesn't verify while that stands: they may type another verdict."
}
