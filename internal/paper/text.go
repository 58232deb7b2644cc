package paper

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/words"
)

// columns is the width of text documents, for printers and terminals of 80 columns.
const columns = 78

// Text returns the document as plain text, with form feeds between pages.
func (d *Doc) Text() []byte {
	t := &text{doc: d}
	t.head()
	for _, b := range d.Body {
		t.block(b)
	}
	t.line("")
	t.line(d.Mark + " · " + d.Foot)
	return []byte(t.b.String())
}

type text struct {
	doc *Doc
	b   strings.Builder
}

func (t *text) line(s string) {
	t.b.WriteString(strings.TrimRight(strings.Map(visible, s), " ") + "\n")
}

// visible replaces control characters, so that names given by devices or people can't
// control a terminal.
func visible(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
		return '?'
	}
	return r
}

// head writes the head of a page, with the mode.
func (t *text) head() {
	gap := columns - width(t.doc.Title) - width(t.doc.Mark)
	t.line(t.doc.Title + strings.Repeat(" ", max(1, gap)) + t.doc.Mark)
	t.line(strings.Repeat("=", columns))
}

func (t *text) block(b Block) {
	switch b := b.(type) {
	case Cover:
		t.line("")
		t.line(strings.ToUpper(b.Title))
		for _, l := range b.Lines {
			t.hang("", l)
		}
	case Heading:
		t.line("")
		t.hang("", string(b))
		t.line(strings.Repeat("~", min(columns, width(string(b)))))
	case Para:
		t.line("")
		t.hang("", string(b))
	case Fields:
		t.fields(b)
	case Table:
		t.table(b)
	case Digest:
		t.digest(b)
	case Code:
		t.line("")
		t.hang("  ", b.Label)
		t.hang("    ", b.Text)
	case Step:
		t.line("")
		t.line(strings.Repeat("-", columns))
		left := fmt.Sprintf("STEP %d of %d   %s", b.Number, b.Of, b.Title)
		t.line(left + strings.Repeat(" ", max(2, columns-width(left)-width(b.Time))) + b.Time)
	case Parts:
		t.parts(b)
	case Blanks:
		for _, l := range b {
			lead := pad("  "+l+" ", 40)
			t.line(lead + strings.Repeat("_", max(10, columns-width(lead))))
		}
	case Initials:
		line := "  initials "
		for _, who := range b {
			line += fmt.Sprintf("  %s ______", who)
		}
		t.hang("", line)
	case Choice:
		for _, c := range b {
			t.hang("  [ ] ", c)
		}
	case Lines:
		t.line("  " + b.Label)
		for range b.N {
			t.line("  " + strings.Repeat("_", columns-2))
		}
	case Keep:
		for _, part := range b {
			t.block(part)
		}
	case Page:
		t.b.WriteString("\f\n")
		t.head()
	}
}

func (t *text) fields(rows Fields) {
	col := 0
	for _, r := range rows {
		col = max(col, width(r[0]))
	}
	for _, r := range rows {
		t.hang("  "+pad(r[0], col)+"  ", r[1])
	}
}

// table writes a row that is too wide for columns as a paragraph.
func (t *text) table(b Table) {
	cols := make([]int, len(b.Head))
	for i, h := range b.Head {
		cols[i] = width(h)
		for _, r := range b.Rows {
			cols[i] = max(cols[i], width(r[i]))
		}
	}
	rows := append([][]string{b.Head}, b.Rows...)
	for _, r := range rows {
		line := "  "
		for i, cell := range r {
			line += pad(cell, cols[i]+2)
		}
		if width(strings.TrimRight(line, " ")) > columns {
			line = "  " + strings.Join(r, " · ")
			t.hang("    ", strings.TrimSpace(line))
			continue
		}
		t.line(line)
		if b.Tall {
			t.line("  " + strings.Repeat("_", columns-2))
		}
	}
}

func (t *text) digest(b Digest) {
	t.line("")
	t.hang("", b.Label)
	for _, l := range hexLines(b.Sum) {
		t.line("    " + l)
	}
	t.line("")
	list := words.Encode(b.Sum[:])
	for i := 0; i < len(list); i += 4 {
		line := "  "
		for j, w := range list[i : i+4] {
			line += fmt.Sprintf("%4d %s", i+j+1, pad(w, 13))
		}
		t.line(line)
	}
	t.line("")
	t.hang("  ", "QR code of: "+b.Code)
	for _, l := range qrLines(b.Code) {
		t.line("    " + l)
	}
}

func (t *text) parts(b Parts) {
	for i, p := range b.Rows {
		label := ""
		if i == 0 {
			label = b.Label
		}
		mark := " "
		if p.Mine {
			mark = ">"
		}
		said := p.Text
		if b.Aloud && !strings.HasPrefix(said, "(") {
			said = `"` + said + `"`
		}
		who := pad(p.Who, 15)
		if p.Who == "" {
			who = ""
		}
		t.hang(pad("  "+label, 11)+mark+" "+who, said)
	}
}

// hang writes a text after a lead, and indents its further lines.
func (t *text) hang(lead, s string) {
	for _, l := range fold(s, columns-width(lead)) {
		t.line(lead + l)
		lead = strings.Repeat(" ", width(lead))
	}
}

// fold breaks a text into lines at spaces; it cuts a word that is longer than a line.
func fold(s string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		for width(word) > n {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			head := string([]rune(word)[:n])
			lines, word = append(lines, head), word[len(head):]
		}
		if line != "" && width(line)+1+width(word) > n {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

func width(s string) int { return utf8.RuneCountInString(s) }

func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-width(s))) }
