package cli

import (
	"strings"

	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// weightStyles are the styles of events that should catch the eye.
var weightStyles = [...]ui.Style{explain.Notable: ui.Device, explain.Grave: ui.Wrong}

// StoryText tells how a ceremony went: what went otherwise than planned, and who signed
// what. With whole, it also has the milestones.
func StoryText(p ui.Page, told *explain.Told, whole bool) string {
	var b strings.Builder
	otherwise := strings.Join(told.Otherwise, ", ")
	if otherwise == "" {
		otherwise = "nothing"
	}
	b.WriteString(p.Fields([][2]string{{"ran", told.Ran}, {"otherwise", otherwise}}))
	list := told.Timeline
	if !whole {
		list = explain.Otherwise(list)
	}
	if len(list) > 0 {
		b.WriteString("\n" + p.Events(Events(list)))
	}
	if len(told.People) > 0 {
		columns, rows := told.PeopleTable()
		b.WriteString("\n" + p.Table(columns, rows))
	}
	return b.String()
}

// Events are a timeline's lines, each with its style.
func Events(list []explain.Event) []ui.Event {
	events := make([]ui.Event, len(list))
	for i, e := range list {
		events[i] = ui.Event{At: e.At, Name: e.Name, Text: e.Text, Style: weightStyles[e.Weight]}
	}
	return events
}
