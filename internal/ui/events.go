package ui

import (
	"strings"

	"github.com/fleetctl/fleetctl/internal/words"
)

// Event is one row of [Page.Events]: when, what it is called, what happened.
type Event struct {
	At, Name, Text string
	Style          Style // of the name, which says in words what the colour repeats
}

// Events is a block of what happened, in its order. A date stands in a row of its own,
// before the first of its day.
func (p Page) Events(list []Event) string {
	var names []string
	clock, day := 0, ""
	for _, e := range list {
		names = append(names, words.Clean(e.Name))
		_, at := dateOf(e.At)
		clock = max(clock, width(at))
	}
	col := p.column(names)
	var b strings.Builder
	for i, e := range list {
		date, at := dateOf(e.At)
		if date != "" && date != day {
			day = date
			b.WriteString("  " + p.paint(Where, date) + "\n")
		}
		before := "  " + p.paint(Where, pad(at, clock)) + "  "
		p.hang(&b, p.lead(&b, before, p.paint(e.Style, names[i]), col, 3), words.Clean(e.Text), Text)
	}
	return b.String()
}

// dateOf splits a time such as 2026-11-21 10:00; a text without a date is left whole.
func dateOf(at string) (date, clock string) {
	at = words.Clean(at)
	if before, after, ok := strings.Cut(at, " "); ok {
		return before, after
	}
	return "", at
}
