package room

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
)

// stageOf is a stage on which some have spoken.
func stageOf(stage, why string, have ...string) *waiting {
	plan := &ceremony.Plan{}
	for _, p := range [][2]string{{"olga", ceremony.Officer}, {"omar", ceremony.Officer}, {"ozan", ceremony.Officer}, {"wim", ceremony.Witness}, {"ada", ceremony.Auditor}} {
		plan.People = append(plan.People, ceremony.Person{Name: p[0], Role: p[1]})
	}
	return &waiting{wish: folder.Wish{Stage: stage}, account: ceremony.NewAccount(plan), also: ceremony.ApproveRequest,
		now: &folder.Missing{Pending: folder.Pending{What: stage, Want: 2, Have: have, Why: why}}}
}

// TestEveryVerdictIsOfferedAsMuchAsTheOthers, in the question itself.
func TestEveryVerdictIsOfferedAsMuchAsTheOthers(t *testing.T) {
	for _, why := range []string{"", "no auditor has signed"} {
		q := stageOf(ceremony.StageRelease, why).question()
		for _, verdict := range []string{`"agree"`, `"agree with exceptions"`, `"do not agree"`} {
			if strings.Count(q, verdict) != 1 {
				t.Errorf("%s is not in %q once", verdict, q)
			}
		}
	}
}

// TestAStageIsOverOnceAllHaveSpokenOrSomebodyClosedIt: with the verdicts that it needs
// alone it is not, while somebody may want to speak.
func TestAStageIsOverOnceAllHaveSpokenOrSomebodyClosedIt(t *testing.T) {
	for _, c := range []struct {
		name, why string
		closed    bool
		have      []string
		want      bool
	}{
		{"one has not spoken", "", false, []string{"ada", "olga", "omar", "wim"}, false},
		{"one is passed over", "", true, []string{"ada", "olga", "omar", "wim"}, true},
		{"all have spoken", "", false, []string{"ada", "olga", "omar", "ozan", "wim"}, true},
		{"closed too early", "no auditor has signed", true, []string{"olga", "omar", "wim"}, false},
		{"not enough", "no auditor has signed", false, []string{"olga", "omar", "ozan", "wim"}, false},
	} {
		r, screen := roomAt(t, "")
		w := stageOf(ceremony.StageClose, c.why, c.have...)
		w.closed = c.closed
		if got := r.closes(w); got != c.want {
			t.Errorf("%s: over %t", c.name, got)
		}
		if passed := strings.Contains(screen.String(), "passed over, without a verdict on the close: ozan, officer"); passed != (c.closed && c.want) {
			t.Errorf("%s: %s", c.name, screen)
		}
		if early := strings.Contains(screen.String(), "The close is not closed: no auditor has signed."); early != (c.closed && !c.want) {
			t.Errorf("%s: %s", c.name, screen)
		}
	}
}

func TestWhatIsAddedToAVerdictIsReadInAnyOrder(t *testing.T) {
	w := stageOf(ceremony.StageRelease, "")
	for typed, want := range map[string]struct {
		rest         string
		also, closes bool
	}{
		"agree":                                 {"agree", false, false},
		"agree and close":                       {"agree", false, true},
		"agree and approve request and close":   {"agree", true, true},
		"Agree, and close and approve request.": {"Agree", true, true},
		"agree with exceptions 1, 2 and close":  {"agree with exceptions 1 2", false, true},
		"do not agree and approve the request":  {"do not agree and approve the request", false, false},
		"agree and close and close":             {"agree and close", false, true},
	} {
		if rest, also, closes := w.adds(typed); rest != want.rest || also != want.also || closes != want.closes {
			t.Errorf("%q: %q, %t, %t", typed, rest, also, closes)
		}
	}
	act := &waiting{wish: folder.Wish{Act: ceremony.ApproveOpen}}
	if rest, _, closes := act.adds("approve open and close"); closes || rest != "approve open and close" {
		t.Errorf("an act is closed by nobody: %q", rest)
	}
}
