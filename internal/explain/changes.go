package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// PlanChanges lists what changed from one plan to the next, a line for each change. It
// compares every value of both, also of fields that it doesn't know. If only comments or
// layout differ, one line says so.
func PlanChanges(older, newer []byte) ([]string, error) {
	a, err := strict.ParseYAML("the plan of before", older, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	b, err := strict.ParseYAML("the plan", newer, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	var c changes
	c.value("", a, b)
	if len(c.lines) == 0 && string(older) != string(newer) {
		return []string{"comments or layout alone: every value is as it was"}, nil
	}
	return c.lines, nil
}

type changes struct{ lines []string }

func (c *changes) tell(at, format string, args ...any) {
	c.lines = append(c.lines, at+": "+fmt.Sprintf(format, args...))
}

func (c *changes) value(at string, a, b *strict.Node) {
	switch {
	case a.Kind != b.Kind:
		c.tell(at, "was %s, is %s", brieflyOf(a), brieflyOf(b))
	case a.Kind == strict.Object:
		c.object(at, a, b)
	case a.Kind == strict.Array:
		c.list(at, a, b)
	case a.Text != b.Text:
		c.tell(at, "was %s, is %s", apart(a.Text, b.Text), apart(b.Text, a.Text))
	}
}

func (c *changes) object(at string, a, b *strict.Node) {
	for _, f := range b.Fields {
		if old := a.Get(f.Name); old != nil {
			c.value(within(at, f.Name), old, f.Value)
		} else {
			c.tell(within(at, f.Name), "is new: %s", brieflyOf(f.Value))
		}
	}
	for _, f := range a.Fields {
		if b.Get(f.Name) == nil {
			c.tell(within(at, f.Name), "is gone; it was %s", brieflyOf(f.Value))
		}
	}
}

// list compares the items of two lists by their names, or if they have none, the whole
// lists.
func (c *changes) list(at string, a, b *strict.Node) {
	older, was := named(a)
	newer, is := named(b)
	if older == nil || newer == nil {
		if !equal(a, b) {
			x, y := written(a), written(b)
			c.tell(at, "was %s, is %s", apart(x, y), apart(y, x))
		}
		return
	}
	for _, name := range is {
		if old := older[name]; old != nil {
			c.value(within(at, name), old, newer[name])
		} else {
			c.tell(within(at, name), "is new: %s", brieflyOf(newer[name]))
		}
	}
	kept := func(list []string, in map[string]*strict.Node) []string {
		return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return in[n] == nil })
	}
	for _, name := range was {
		if newer[name] == nil {
			c.tell(within(at, name), "is gone; it was %s", brieflyOf(older[name]))
		}
	}
	if !slices.Equal(kept(was, newer), kept(is, older)) {
		c.tell(at, "the order is another: %s", strings.Join(is, ", "))
	}
}

// named are a list's objects by their names; the second with the same name has a number
// behind it. nil if an item has no name.
func named(n *strict.Node) (by map[string]*strict.Node, names []string) {
	by = map[string]*strict.Node{}
	times := map[string]int{}
	for _, item := range n.Items {
		if item.Kind != strict.Object || item.Get("name") == nil {
			return nil, nil
		}
		name := item.Get("name").Text
		if times[name]++; times[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, times[name])
		}
		by[name], names = item, append(names, name)
	}
	return by, names
}

func within(at, name string) string { return strings.TrimPrefix(at+" "+name, " ") }

// equal says whether two values are the same, whatever their layout.
func equal(a, b *strict.Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !equal(a.Fields[i].Value, b.Fields[i].Value) {
			return false
		}
	}
	return true
}

// brieflyOf writes a value on one line, shortened.
func brieflyOf(n *strict.Node) string { return apart(written(n), "") }

// written writes a value on one line.
func written(n *strict.Node) string {
	var parts []string
	switch n.Kind {
	case strict.Object:
		for _, f := range n.Fields {
			if f.Name != "name" || len(n.Fields) == 1 {
				parts = append(parts, f.Name+" "+written(f.Value))
			}
		}
		return strings.Join(parts, ", ")
	case strict.Array:
		for _, x := range n.Items {
			parts = append(parts, written(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return n.Text
}

// apart shortens a long text, such as a key, to the part in which it differs from another.
func apart(s, other string) string {
	const most = 100
	s, other = strings.ReplaceAll(s, "\n", " "), strings.ReplaceAll(other, "\n", " ")
	if len(s) <= most {
		return cmp.Or(s, "empty")
	}
	same := 0
	for same < min(len(s), len(other)) && s[same] == other[same] {
		same++
	}
	if other == "" || same < most/2 {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	from := min(same-most/3, len(s)-most)
	return "…" + strings.ToValidUTF8(s[from:from+most], "") + "…"
}
