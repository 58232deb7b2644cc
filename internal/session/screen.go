package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Screen shows a running ceremony: append-only, a header before each step.
type Screen struct {
	a      *cli.App
	binary [32]byte // SHA-256 of this program, for the opening
	last   string   // the last record, in words
}

// NewScreen shows a part of a ceremony that opens nothing.
func NewScreen(a *cli.App) *Screen { return &Screen{a: a} }

// Step shows the header of a step, and what is said aloud in it.
func (s *Screen) Step(plan *ceremony.Plan, n, of int, step ceremony.Step) {
	p := s.a.UI.Talk
	says := script.InstructionsFor(plan, step)
	where := fmt.Sprintf("step %d of %d · ", n, of)
	if i := slices.IndexFunc(plan.HSMs, func(h ceremony.PlanHSM) bool { return h.Name == step.HSM }); i >= 0 {
		where += fmt.Sprintf("HSM %d of %d · ", i+1, len(plan.HSMs))
	}
	if s.last != "" {
		s.a.UI.Say("\n", p.Footer(s.last))
	}
	s.a.Header = p.Header(plan.Fleet+" · "+strings.TrimSuffix(where, " · ")+" · "+string(step.Act), strings.ToUpper(plan.Mode))
	s.begins(n, of, step)
	s.a.UI.Say("\n", p.Header(plan.Fleet, strings.ToUpper(plan.Mode)),
		p.Line(fmt.Sprintf("%s%s · about %d min", where, step.Act, says.Minutes)))
	if h := plan.HSM(step.HSM); h != nil {
		text := fmt.Sprintf("%s · site %s · serial %s", h.Name, h.Site, h.Serial)
		if step.Role != "" {
			text += " · " + step.Role
		}
		s.a.UI.Say(p.Line(text))
	}
	if step.Act == ceremony.ActAttest {
		s.a.UI.Say(p.Line("device " + deviceOf(plan, step).Identity))
	}
	s.a.UI.Say("\n")
	for _, part := range says.Say {
		if !strings.HasPrefix(part.Text, "(") { // what is read from the screen follows by itself
			s.a.UI.Say(p.Line(fmt.Sprintf("%s, aloud: \"%s\"", Capital(part.Who), part.Text)))
		}
	}
	if step.Act == ceremony.ActOpen && s.binary != [32]byte{} {
		s.a.UI.Say("\n", p.Line("This program, SHA-256. Auditor: is it that of your own copy?"), p.Hex(s.binary[:]), "\n")
	}
}

// begins has every question that follows say which step it belongs to.
func (s *Screen) begins(n, of int, step ceremony.Step) {
	s.a.Question, s.a.At = "", stepName(n, of, step)
	s.a.UI.Forget()
}

// stepName is a step with its number, as it begins a question.
func stepName(n, of int, step ceremony.Step) string {
	return fmt.Sprintf("Step %d of %d, %s", n, of, strings.ReplaceAll(step.Title(), " · ", " "))
}

// deviceOf is the device that a step of attestation is about, as the plan names it.
func deviceOf(plan *ceremony.Plan, step ceremony.Step) *ceremony.Device {
	if h := plan.HSM(step.HSM); h != nil {
		return h.Attestation
	}
	return plan.Countersigner.Attestation
}

// Paused shows the header of a ceremony that was adjourned.
func (s *Screen) Paused(c *ceremony.Account) {
	p, mode := s.a.UI.Talk, strings.ToUpper(c.Plan.Mode)
	s.a.Header = p.Header(c.Plan.Fleet+" · reconvene", mode)
	s.a.Question = ""
	s.a.UI.Say("\n", p.Header(c.Plan.Fleet, mode), p.Line("The ceremony was adjourned, and is reconvened now."),
		p.Line("The head that it follows: "+RecordWords(c.N, c.Head)), "\n")
}

// GoesOn shows the header of a ceremony whose HSMs are to be worked on once more: it was
// interrupted, or reconvened a moment ago. It says what that costs.
func (s *Screen) GoesOn(c *ceremony.Account) {
	p, mode := s.a.UI.Talk, strings.ToUpper(c.Plan.Mode)
	s.a.Header = p.Header(c.Plan.Fleet+" · resume", mode)
	why := "The ceremony was interrupted."
	if c.Reconvened() {
		why = "The ceremony was adjourned as planned, and HSMs are still to be worked on."
	}
	step, _ := c.Next()
	s.begins(c.StepNumber(), len(c.Steps), step)
	s.a.UI.Say("\n", p.Header(c.Plan.Fleet, mode),
		p.Line(fmt.Sprintf("%s It stands after record %d, and goes on once officers approve that.", why, c.N)),
		p.Line(Capital(strings.TrimSpace(strings.ReplaceAll(lost(c), "\n", " ")))), "\n")
}

// Capital begins a sentence.
func Capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Done shows that something is on the record.
func (s *Screen) Done(text string, r *ceremony.Record) {
	state := ui.Done
	c, attested := r.Content.(*ceremony.Attestation)
	if attested && len(c.Problems) > 0 {
		state = ui.Noted
	}
	s.a.UI.Say(s.a.UI.Talk.Step(state, text, fmt.Sprintf("record %d", r.N)))
	if attested {
		for _, p := range c.Problems {
			s.a.UI.Say(s.a.UI.Talk.Line("problem: " + p))
		}
	}
	s.last = RecordWords(r.N, r.Hash())
}

// RecordWords name the last record as people compare it with their sheets.
func RecordWords(n int, head [32]byte) string {
	return fmt.Sprintf("record %d · %s", n, words.Head(head[:]))
}
