package ui

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/fleetctl/fleetctl/internal/words"
)

// margin is what a ceremony's screens are set in from the edge.
const margin = "   "

// State is how far a step is.
type State string

// The states, as a person reads them.
const (
	Done   State = "done"
	Now    State = "now"
	Noted  State = "noted" // an exception was made of it
	Failed State = "failed"
)

func (s State) style() Style {
	switch s {
	case Done:
		return Proven
	case Now:
		return Name
	case Noted:
		return Device
	case Failed:
		return Wrong
	}
	return Text
}

// Step is one line of what was done, with a note such as the record's number
// at the right.
func (p Page) Step(state State, text, note string) string {
	note = words.Clean(note)
	lead := margin + p.paint(state.style(), string(state)) + spaces(8-len(state))
	right := p.lineWidth() - len(margin) // below the end of the header's tag
	indent := width(lead)
	var b strings.Builder
	room := right - indent
	if note != "" {
		room -= width(note) + 2
	}
	for i, line := range wrap(words.Clean(text), room) {
		if i > 0 {
			b.WriteString(spaces(indent) + line + "\n")
			continue
		}
		b.WriteString(lead + line)
		if note != "" {
			b.WriteString(spaces(right-indent-width(line)-width(note)) + p.paint(Where, note))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Line is a line of a ceremony's screen, folded within its margin.
func (p Page) Line(text string) string {
	var b strings.Builder
	p.hang(&b, margin, words.Clean(text), Text)
	return b.String()
}

// Verbatim is a text line by line, set in. What continues a line that is too long is set
// in further: it is no line of the text.
func (p Page) Verbatim(text string) string {
	const in = margin + margin
	room := p.width - 1 - len(in)
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = words.Clean(strings.TrimSuffix(line, "\n"))
		rows := []string{line}
		if width(line) > room {
			rows = fold(line, room-2)
		}
		b.WriteString(in + strings.Join(rows, "\n"+in+"  ") + "\n")
	}
	return b.String()
}

// Inset sets what is rendered as far in as Line sets its text.
func (p Page) Inset(render func(Page) string) string {
	within := p
	within.width -= len(margin)
	var b strings.Builder
	for line := range strings.Lines(render(within)) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(margin)
		}
		b.WriteString(line)
	}
	return b.String()
}

// Hex is a digest whole, in rows of groups that can be followed by eye.
func (p Page) Hex(digest []byte) string {
	const row = 16 // bytes
	var b strings.Builder
	for i := 0; i < len(digest); i += row {
		b.WriteString(margin + margin + words.Hex(digest[i:min(i+row, len(digest))]) + "\n")
	}
	return b.String()
}

// Words is a digest to be read aloud, four words a row unless told otherwise.
// With numbers each row begins with the number of its first word.
func (p Page) Words(digest []byte, columns int, numbers bool) string {
	if columns <= 0 {
		columns = 4
	}
	const pitch = 14 // the longest word has eleven letters
	list := words.Encode(digest)
	var b strings.Builder
	for i := 0; i < len(list); i += columns {
		row := list[i:min(i+columns, len(list))]
		b.WriteString(margin)
		if numbers {
			b.WriteString(p.paint(Where, fmt.Sprintf("%2d", i+1)) + "  ")
		} else {
			b.WriteString(margin)
		}
		for j, w := range row {
			if j < len(row)-1 {
				w = pad(w, pitch)
			}
			b.WriteString(w)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// codeMargin is how many squares are left empty around a code: enough for a reader, and
// a code of 37 squares then takes 22 lines, so that the question after it is seen too.
const codeMargin = 3

// Code draws a QR code, two squares a character; plain, its text stands in its place.
// Where there is colour it is dark on light. Without, it is made of the terminal's own
// letters, which may be light on dark: readers take both.
func (p Page) Code(modules [][]bool, text string) string {
	if p.plain {
		return margin + words.Clean(text) + "\n"
	}
	side := len(modules)
	dark := func(x, y int) bool {
		x, y = x-codeMargin, y-codeMargin
		return y >= 0 && y < side && x >= 0 && x < len(modules[y]) && modules[y][x]
	}
	var b strings.Builder
	for y := 0; y < side+2*codeMargin; y += 2 {
		line := ""
		for x := range side + 2*codeMargin {
			// The last half line lies below the margin, and belongs to it.
			line += half(dark(x, y) == p.color, dark(x, y+1) == p.color)
		}
		if p.color {
			line = lipgloss.NewStyle().Inline(true).Foreground(lipgloss.Black).Background(lipgloss.BrightWhite).Render(line)
		}
		b.WriteString(margin + line + "\n")
	}
	return b.String()
}

// half is the character whose upper and lower half are drawn so.
func half(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
