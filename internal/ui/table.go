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
	last := len(headers) - 1
	if last < 0 {
		return ""
	}
	cells := cleanCells(headers, rows)
	cols := make([]int, len(headers))
	for _, row := range cells {
		for i, c := range row {
			cols[i] = max(cols[i], width(c))
		}
	}
	const indent, gap = 2, 3
	room := p.lineWidth() - indent
	for _, w := range cols[:last] {
		room -= w + gap
	}
	if room < min(minLast, cols[last]) {
		return p.blocks(cells)
	}
	cols[last] = min(cols[last], room)
	var b strings.Builder
	for n, row := range cells {
		s := Text
		if n == 0 {
			s = Where
		}
		lead := spaces(indent)
		for i, c := range row[:last] {
			lead += p.paint(s, set(c, cols[i], alignOf(align, i))) + spaces(gap)
		}
		for i, line := range wrap(row[last], cols[last]) {
			if i > 0 {
				lead = spaces(width(lead))
			}
			line = strings.TrimRight(set(line, cols[last], alignOf(align, last)), " ")
			b.WriteString(strings.TrimRight(lead+p.paint(s, line), " ") + "\n")
		}
	}
	return b.String()
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
