package ui

import (
	"strings"

	"github.com/fleetctl/fleetctl/internal/words"
)

// Every block ends with a newline, so blocks and empty lines can be joined.

// Header is the line that opens a screen: what it is about and, at its end, a
// tag such as PRODUCTION. Plain, it is just the words.
func (p Page) Header(title, tag string) string {
	title, tag = words.Clean(title), words.Clean(tag)
	if p.plain {
		return strings.TrimSpace(title+"   "+tag) + "\n"
	}
	end := ""
	if tag != "" {
		end = " " + p.paint(Name, tag) + " " + p.paint(Where, "──")
	}
	rule := max(2, p.lineWidth()-width(title)-width(end)-4)
	return p.paint(Where, "──") + " " + p.paint(Name, title) + " " +
		p.paint(Where, strings.Repeat("─", rule)) + end + "\n"
}

// Footer is the line that closes a screen: where the record stands.
func (p Page) Footer(text string) string {
	text = words.Clean(text)
	if p.plain {
		return text + "\n"
	}
	rule := max(2, p.lineWidth()-width(text)-4)
	return p.paint(Where, "── "+text+" "+strings.Repeat("─", rule)) + "\n"
}

// lineWidth is how far lines reach: short of the edge, since some terminals
// break a line that fills it.
func (p Page) lineWidth() int { return p.width - 2 }

// Fields is a block of labels with their values, folded under themselves. A
// value of several lines has rows without a label.
func (p Page) Fields(rows [][2]string) string {
	var labels []string
	for _, r := range rows {
		labels = append(labels, words.Clean(r[0]))
	}
	col := p.column(labels)
	var b strings.Builder
	for i, r := range rows {
		p.hang(&b, p.lead(&b, "", p.paint(Where, labels[i]), col, 3), words.Clean(r[1]), Text)
	}
	return b.String()
}

// column is how wide a first column is. What would leave too little room for
// the second doesn't count: it gets a line of its own, see lead.
func (p Page) column(cells []string) int {
	col := 0
	for _, c := range cells {
		if w := width(c); w <= p.lineWidth()/2 {
			col = max(col, w)
		}
	}
	return col
}

// lead begins a row: what stands before, and the first cell in its column. A
// cell that the column doesn't hold is written alone, on the line above.
func (p Page) lead(b *strings.Builder, before, cell string, col, gap int) string {
	if w := width(cell); w <= col {
		return before + cell + spaces(col-w+gap)
	}
	b.WriteString(before + cell + "\n")
	return spaces(width(before) + col + gap)
}

// hang writes a cleaned text after a lead that is already styled; what doesn't
// fit on the line goes below itself, not below the lead. A single word, such as
// a key, a digest or an HSM's URI, is left whole, and a command stays one: they are
// there to be copied.
func (p Page) hang(b *strings.Builder, lead, text string, s Style) {
	indent := width(lead)
	if isCommand(text) {
		lines := []string{text}
		if p.folded {
			lines = breakCommand(text, p.lineWidth()-indent)
		}
		for _, line := range lines {
			b.WriteString(lead + p.paint(s, line) + "\n")
			lead = spaces(indent)
		}
		return
	}
	if text != "" && !strings.Contains(text, " ") {
		b.WriteString(lead + p.paint(s, text) + "\n")
		return
	}
	for i, line := range wrap(text, p.lineWidth()-indent) {
		if i > 0 {
			lead = spaces(indent)
		}
		b.WriteString(strings.TrimRight(lead+p.paint(s, line), " "))
		b.WriteByte('\n')
	}
}

// ClaimLine is one row of [Page.Claims].
type ClaimLine struct {
	Grade  string // proven, attested, device, not shown; empty in a list of faults
	Name   string
	Detail string
	Wrong  bool     // falls short of what is demanded
	More   []string // where it is, what to do next: below the detail
}

// gradeStyle is the look of a claim's grade.
func gradeStyle(grade string) Style {
	switch grade {
	case "proven":
		return Proven
	case "attested":
		return Attested
	case "device":
		return Device
	case "not shown":
		return NotShown
	case "wrong":
		return Wrong
	}
	return Text
}

// Claims is the block of claims: how each is known, its name, what was seen.
func (p Page) Claims(claims []ClaimLine) string {
	grades, names := 0, []string(nil)
	for _, c := range claims {
		grades = max(grades, width(words.Clean(c.Grade)))
		names = append(names, words.Clean(c.Name))
	}
	col := p.column(names)
	gap := 3
	if grades > 0 {
		grades, gap = max(grades, len("not shown"))+2, 2 // the same in every report
	}
	var b strings.Builder
	for i, c := range claims {
		grade, detail := words.Clean(c.Grade), words.Clean(c.Detail)
		look, nameStyle := gradeStyle(grade), Text
		if c.Wrong {
			look, nameStyle = Wrong, Wrong
			if grade != "" { // among others that don't, the words must say so
				detail = "falls short: " + detail
			}
		}
		before := "  " + p.paint(look, grade) + spaces(grades-width(grade))
		lead := p.lead(&b, before, p.paint(nameStyle, names[i]), col, gap)
		p.hang(&b, lead, detail, Text)
		for _, m := range c.More {
			p.advice(&b, width(lead), words.Clean(m))
		}
	}
	return b.String()
}

// advice writes a line of where or of what to do next. One that is a command
// to type isn't folded: it would no longer be one when it is copied.
func (p Page) advice(b *strings.Builder, indent int, line string) {
	if next, ok := strings.CutPrefix(line, "next: "); ok {
		lead := spaces(indent) + p.paint(Where, "next: ")
		if isCommand(next) {
			p.hang(b, lead, next, Text)
			return
		}
		b.WriteString(lead + next + "\n")
		return
	}
	p.hang(b, spaces(indent), line, Where)
}

// Verdict is the answer, and what it rests on: never a bare "OK".
func (p Page) Verdict(ok bool, text string) string {
	word, s := "VERIFIED", Proven
	if !ok {
		word, s = "NOT VERIFIED", Wrong
	}
	var b strings.Builder
	p.hang(&b, p.paint(s, word)+"   ", words.Clean(text), Text)
	return b.String()
}
