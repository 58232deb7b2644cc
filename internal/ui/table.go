package ui

import (
	"strings"

	"github.com/fleetctl/fleetctl/internal/words"
)

// Align says to which side a column's cells are set.
type Align int

// A column is set to the left unless told otherwise.
const (
	Left Align = iota
	Right
)

// minLast is the room the last column needs to be worth folding into.
const minLast = 16

// Table sets rows in columns. The last column takes what room is left and is
// folded within it. Where too little is left each row becomes a block of
// fields, so that nothing is cut off.
func (p Page) Table(headers []string, rows [][]string, align ...Align) string {
	if len(headers) == 0 {
		return ""
	}
	cells := cleanCells(headers, rows)
	lines := p.rows(cells, align)
	if lines == nil {
		return p.blocks(cells)
	}
	return strings.Join(lines, "")
}

// TableWhole is a Table whose last column is copied from, such as a file's name or
// a namespace, and never broken: where there is no room beside the others it
// stands below them, on a line of its own.
func (p Page) TableWhole(headers []string, rows [][]string, align ...Align) string {
	last, room := len(headers)-1, p.lineWidth()-rowIndent
	cells := cleanCells(headers, rows)
	for i := range headers {
		widest := 0
		for _, row := range cells {
			widest = max(widest, width(row[i]))
		}
		room -= widest
		if i > 0 {
			room -= cellGap
		}
	}
	if room >= 0 {
		return p.Table(headers, rows, align...)
	}
	beside := make([][]string, len(cells))
	for n, row := range cells {
		beside[n] = row[:last]
	}
	lines := p.rows(beside, align)
	if lines == nil {
		return p.blocks(cells)
	}
	for n := range lines[1:] {
		lines[n+1] += spaces(2*rowIndent) + cells[n+1][last] + "\n"
	}
	return strings.Join(lines, "")
}

// rowIndent and cellGap are before a row and between its cells.
const rowIndent, cellGap = 2, 3

// rows gives each row of a table, the headers first; nil where there is no room.
func (p Page) rows(cells [][]string, align []Align) (lines []string) {
	last := len(cells[0]) - 1
	cols := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, c := range row {
			cols[i] = max(cols[i], width(c))
		}
	}
	room := p.lineWidth() - rowIndent
	for _, w := range cols[:last] {
		room -= w + cellGap
	}
	if room < min(minLast, cols[last]) {
		return nil
	}
	cols[last] = min(cols[last], room)
	for n, row := range cells {
		var b strings.Builder
		s := Text
		if n == 0 {
			s = Where
		}
		lead := spaces(rowIndent)
		for i, c := range row[:last] {
			lead += p.paint(s, set(c, cols[i], alignOf(align, i))) + spaces(cellGap)
		}
		for i, line := range wrap(row[last], cols[last]) {
			if i > 0 {
				lead = spaces(width(lead))
			}
			line = strings.TrimRight(set(line, cols[last], alignOf(align, last)), " ")
			b.WriteString(strings.TrimRight(lead+p.paint(s, line), " ") + "\n")
		}
		lines = append(lines, b.String())
	}
	return lines
}

// blocks is the table for a screen that is too narrow for one.
func (p Page) blocks(cells [][]string) string {
	var parts []string
	for _, row := range cells[1:] {
		var fields [][2]string
		for i, c := range row {
			fields = append(fields, [2]string{"  " + cells[0][i], c})
		}
		parts = append(parts, p.Fields(fields))
	}
	return strings.Join(parts, "\n")
}

// cleanCells puts the headers above the rows and makes each row as long.
func cleanCells(headers []string, rows [][]string) [][]string {
	cells := make([][]string, 0, len(rows)+1)
	for _, row := range append([][]string{headers}, rows...) {
		clean := make([]string, len(headers))
		for i := range min(len(row), len(headers)) {
			clean[i] = words.Clean(row[i])
		}
		cells = append(cells, clean)
	}
	return cells
}

func alignOf(align []Align, i int) Align {
	if i < len(align) {
		return align[i]
	}
	return Left
}

// set pads a cell to its column.
func set(s string, n int, a Align) string {
	if a == Right {
		return spaces(n-width(s)) + s
	}
	return pad(s, n)
}
