package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/paper"
)

// steps are the plan's, one after the other, each with its worksheet.
func (s *printed) steps() {
	steps := s.plan.Steps()
	_, before := Minutes(s.plan)
	s.doc.Add(paper.Page{}, paper.Heading("Steps"))
	for i, step := range steps {
		t := InstructionsFor(s.plan, step)
		s.doc.Add(paper.Keep{
			paper.Step{Number: i + 1, Of: len(steps), Title: t.Title, Time: fmt.Sprintf("%s · about %d min", clock(before[i]), t.Minutes)},
			paper.Parts{Label: "before", Rows: []paper.Part{{Text: facts(t.Before)}}},
			paper.Parts{Label: "do", Rows: s.parts(t.Do)},
			paper.Parts{Label: "say", Rows: s.parts(t.Say), Aloud: true},
			paper.Parts{Label: "confirm", Rows: s.parts(t.Confirm)},
			paper.Parts{Label: "leaves", Rows: []paper.Part{{Text: strings.Join(t.Leaves, "; ")}}},
			paper.Blanks(append([]string{"Time", "Record number"}, t.Blanks...)),
			s.initials(t.Initial),
		})
	}
}

// facts are what must hold before a step. Of more than three, only the first is named.
func facts(list []string) string {
	if len(list) > 3 {
		return fmt.Sprintf("%s, and so on: %d such", list[0], len(list))
	}
	return strings.Join(list, "; ")
}

func (s *printed) parts(list []Part) []paper.Part {
	var out []paper.Part
	for _, p := range list {
		out = append(out, paper.Part{Who: p.Who, Text: p.Text, Mine: p.Who == s.role})
	}
	return out
}

// initials are fields for every role's initials on everybody's copy, and only for the
// role's own on a role's copy.
func (s *printed) initials(roles []string) paper.Block {
	if s.role == "" {
		return paper.Initials(roles)
	}
	if !slices.Contains(roles, s.role) {
		return paper.Keep{}
	}
	return paper.Initials{s.role}
}

// exceptionSheets is how many exceptions there is room for on paper.
const exceptionSheets = 4

// sheets are the pages that people fill in when something happens, and sign at the end.
func (s *printed) sheets() {
	s.doc.Add(paper.Page{}, paper.Heading("Exceptions"),
		paper.Para("One for each thing that went otherwise than the script says. Type the word exception at any question; what will be written is shown first, and back takes it back. Officers accept it before the release: name, then \""+Consent(ceremony.ApproveException)+"\"."))
	for n := range exceptionSheets {
		s.doc.Add(paper.Keep{
			paper.Lines{Label: fmt.Sprintf("Exception %d: what was expected, what happened, what was decided", n+1), N: 3},
			paper.Blanks{"Step", "Record number"},
			s.initials([]string{ceremony.Officer, ceremony.Officer, ceremony.Witness, ceremony.Auditor}),
		})
	}
	s.doc.Add(paper.Page{}, paper.Heading("Adjourned and reconvened"),
		paper.Table{Head: []string{"what", "seal when adjourned", "kept by", "seal when reconvened", "time"}, Share: []int{30, 30, 25, 30, 20}, Rows: emptyRows(6, 5), Tall: true},
		paper.Heading("I do not agree"),
		paper.Para("Fill this in, sign it, hand it to the auditor, and type your name and \"do not agree\". It ends the ceremony; the record is published with it."),
		paper.Choice{"I do not agree to the release", "I do not agree to the close"},
		paper.Lines{Label: "Because", N: 5},
		paper.Blanks{"Name", "Role", "Signature", "Time (UTC)"},
		paper.Page{}, paper.Heading("Sign-off"),
		paper.Para("What I signed with my key is what I tick here. The close head, as the receipt has it:"),
		paper.Blanks{"First four words of the close head"})
	for _, p := range s.plan.People {
		s.doc.Add(paper.Keep{
			paper.Heading(fmt.Sprintf("%s, %s", p.Name, p.Role)),
			paper.Choice{"agree", "agree with exceptions number ______________", "do not agree"},
			paper.Blanks{"Signature", "Time (UTC)"},
		})
	}
}

func emptyRows(rows, cols int) [][]string {
	list := make([][]string, rows)
	for i := range list {
		list[i] = make([]string, cols)
	}
	return list
}
