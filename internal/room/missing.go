package room

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/words"
)

// whoIsMissing says how many officers have signed what is wanted, who did, who does not
// agree, and who still can sign.
func (w *waiting) whoIsMissing() string {
	m, officers := w.now, 0
	var can, signed []string
	for _, name := range m.Have {
		if !slices.Contains(m.Against, name) {
			signed = append(signed, name)
		}
	}
	for _, p := range w.account.Plan.People {
		switch {
		case p.Role == ceremony.Officer && slices.Contains(signed, p.Name):
			officers++
		case !slices.Contains(m.Have, p.Name) && (p.Role == ceremony.Officer || w.wish.Stage != ""):
			name := p.Name
			if w.wish.Stage != "" {
				name += ", " + p.Role
			}
			can = append(can, name)
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
	text += " Not yet: " + strings.Join(can, "; ") + "."
	switch {
	case len(m.Against) > 0:
		text += " Do not agree: " + strings.Join(m.Against, ", ") + ". " + whileThatStands(w.wish.Stage)
	case m.Why != "":
		text += " " + session.Capital(m.Why) + "."
	}
	return text
}

func whileThatStands(stage string) string {
	if stage == ceremony.StageRelease {
		return "Nothing goes out while that stands: they may type another verdict, or it is ended by fleetctl ceremony abort."
	}
	return "The ceremony doesn't verify while that stands: they may type another verdict."
}
