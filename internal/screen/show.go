package screen

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

func (s *Screen) tag() string {
	return strings.ToUpper(s.Role) + "'S SCREEN · " + strings.ToUpper(s.Plan.Mode)
}

func recordWords(at state.State) string {
	return fmt.Sprintf("record %d · %s", at.Record, words.Head(at.Head[:]))
}

// begin shows by which plan everything is judged, and what was refused before.
func (s *Screen) begin() {
	p := s.App.UI.Talk
	digest := s.Plan.Digest()
	s.App.UI.Say("\n", p.Header(fmt.Sprintf("%s · epoch %d", s.Plan.Fleet, s.Plan.Epoch), s.tag()),
		p.Line("Everything is judged by your own copy of the plan. Its words, which are read aloud when the ceremony opens:"), "\n",
		p.Words(digest[:], 4, true), "\n")
	for _, x := range s.seen.Alarms {
		s.say(fmt.Sprintf("REFUSED after record %d: %s: %s", x.After, x.Name, x.Text))
	}
	if last, _, ok := s.seen.Last(); ok {
		text := "This screen goes on after " + recordWords(last)
		if s.seen.Ceremony != "" {
			text += ", of the ceremony " + s.seen.Ceremony
		}
		s.say(text + ".")
	}
}

// show shows where the ceremony stands, once for each state, and how it is known once
// more when that is better.
func (s *Screen) show() {
	at, how, ok := s.seen.Last()
	switch {
	case !ok || at == s.shown && how == s.shownAs:
		return
	case at == s.shown:
		s.shownAs = how
		s.say(recordWords(at) + " …: " + known()[how] + ".")
		s.compared(at)
		return
	}
	resumed := at.Resumed - s.shown.Resumed
	s.shown, s.shownAs = at, how
	p := s.App.UI.Talk
	s.App.UI.Say("\n", p.Header(s.Plan.Fleet, s.tag()))
	step, is := at.StepOf(s.Plan)
	verdicts := ""
	if is && step.Act == ceremony.ActRequest {
		// The request is not on the record before all have given their verdicts, and no
		// record says who has.
		at.Step--
		step, is = at.StepOf(s.Plan)
		verdicts = ": verdicts"
	}
	switch {
	case at.Wants == state.Closed:
		s.say("The ceremony is closed; read it and sign the close.")
	case at.Wants == state.Aborted:
		s.say("The ceremony was aborted.")
	case at.Wants == state.Adjourned:
		s.say("The ceremony is adjourned. Copy the head below onto your sheet; it goes on from there.")
	case is:
		s.say(s.where(at, step) + verdicts)
	}
	s.say(recordWords(at) + " …: " + known()[how] + ".")
	if resumed > 0 {
		s.say("The ceremony goes on after a stop: officers have approved a resume, " + words.Count(int64(at.Resumed), "time", "times") + " so far. Unless it had been adjourned, it was interrupted: ask why.")
	}
	s.warn()
	if is && at.Wants != state.Closed && at.Wants != state.Aborted {
		s.checklist(step)
	}
	if at.Wants == state.Words {
		s.App.UI.Say("\n", p.Line(subject(step)+", in words:"), p.Words(at.Subject[:], 4, true))
	}
	s.compared(at)
}

func (s *Screen) where(at state.State, step ceremony.Step) string {
	text := fmt.Sprintf("step %d of %d · ", at.Step, len(s.Plan.Steps()))
	for i, h := range s.Plan.HSMs {
		if h.Name == step.HSM {
			text += fmt.Sprintf("HSM %d of %d · ", i+1, len(s.Plan.HSMs))
		}
	}
	return text + step.Title()
}

// subject names what words are of.
func subject(s ceremony.Step) string {
	switch s.Act {
	case ceremony.ActOpen:
		return "Your copy of the plan"
	case ceremony.ActFleetCheck:
		return "The fleet check's matrix"
	case ceremony.ActRelease:
		return "The key set, " + ceremony.ArtifactFile
	case ceremony.ActRetirement:
		return "The key set whose keys are destroyed, " + ceremony.ArtifactFile
	case ceremony.ActLog:
		return "The bundle, " + ceremony.BundleFile
	}
	return "The new " + s.Role + " key of " + s.HSM
}

// checklist is what the screen's role does, says and confirms in a step, in the words
// of the printed script.
func (s *Screen) checklist(step ceremony.Step) {
	p := s.App.UI.Talk
	says := script.InstructionsFor(s.Plan, step)
	var rows [][2]string
	add := func(label string, parts []script.Part, quote bool) {
		for _, part := range parts {
			if part.Who != s.Role {
				continue
			}
			text := part.Text
			if quote && !strings.HasPrefix(text, "(") {
				text = "\"" + text + "\""
			}
			rows = append(rows, [2]string{label, text})
		}
	}
	add("do", says.Do, false)
	add("say", says.Say, true)
	add("confirm", says.Confirm, false)
	if len(rows) == 0 {
		rows = [][2]string{{"do", "nothing but listen and look"}}
	}
	s.App.UI.Say(p.Inset(func(p ui.Page) string { return p.Fields(rows) }))
}

// compared says of each key that agrees whether it answered what was drawn here, once
// there are records to compare with.
func (s *Screen) compared(at state.State) {
	if s.account == nil || s.account.N != at.Record {
		return
	}
	if list := s.compare(); len(list) > 0 {
		s.App.UI.Say("\n", s.App.UI.Talk.Inset(func(p ui.Page) string { return p.Fields(comparedRows(list)) }))
	}
}

// compare holds the records that were read last against what was drawn here, once all
// keys are there.
func (s *Screen) compare() []challenge.Compared {
	if s.account == nil || s.account.FleetCheck == nil || len(s.kept.Challenges) == 0 {
		return nil
	}
	return s.kept.Compare(s.account)
}

func comparedRows(list []challenge.Compared) (rows [][2]string) {
	for _, k := range list {
		text := "answered your challenge"
		if k.Fault != "" {
			text = "NOT YOURS: " + k.Fault
		}
		rows = append(rows, [2]string{k.HSM + " " + k.Role, text})
	}
	return rows
}

// question is what can be typed now.
func (s *Screen) question() string {
	at, _, ok := s.seen.Last()
	switch {
	case !ok:
		return "Nothing was shown yet. A code, the file of a picture, or Enter to look again:"
	case at.Wants == state.Words:
		return "The positions that the room's screen asks for, as 5 19 26; else a code, a file, or Enter:"
	case at.Wants == state.Peer && s.Role == ceremony.Auditor:
		return "Type peer to draw the challenge, where nobody else sees this screen; else a code, a file, or Enter:"
	case at.Wants == state.Scalar && s.Role == ceremony.Auditor:
		return "Type open to give the challenge's private half; else a code, a file, or Enter:"
	}
	return "A code, the file of a picture, or Enter to look again:"
}

// warn says again and again that something was refused: nothing that is shown after it
// makes up for that.
func (s *Screen) warn() {
	if n := len(s.seen.Alarms); n > 0 {
		s.say("ALARM: what the room's machine shows was refused " + words.Count(int64(n), "time", "times") + ". Don't sign; have the ceremony stopped.")
	}
}
