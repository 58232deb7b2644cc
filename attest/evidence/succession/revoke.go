package succession

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The ends of a window that Revoke sets.
const (
	NotAfter         = "not_after"         // the key was given up: what was witnessed before counts
	CompromisedAfter = "compromised_after" // somebody else may have it: see SPEC, section 16.2
)

// places are where a policy has the keys of each part.
var places = []struct {
	part string
	path []any
}{
	{"person", []any{"people"}},
	{"third party", []any{"third_parties"}},
	{"additional key", []any{"additional_keys"}},
	{"operator", []any{"operators"}},
	{"submitter", []any{"rekor", "submitters"}},
	{"keeper", []any{"succession", "keys"}},
}

// Revoke gives a policy in which the window of one key ends at a time, and nothing else
// has changed: comments and order stay. Whose key it is says a part and a name, such as
// "person olga", "third party auditor.example", "witness w1".
func Revoke(file string, data []byte, who, end string, at time.Time) ([]byte, error) {
	if _, err := evidence.ParsePolicy(file, data); err != nil {
		return nil, err
	}
	root, err := strict.ParseYAML(file, data, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	e := &editor{file: file, lines: strings.SplitAfter(string(data), "\n"), end: end, at: strict.FormatTime(at)}
	if err := e.revoke(root, who); err != nil {
		return nil, err
	}
	out := []byte(strings.Join(e.lines, ""))
	changes, err := Diff(file, data, "the policy that would be written", out)
	switch {
	case err != nil:
		return nil, err
	case len(changes) != 1 || changes[0].Effect != Stricter:
		return nil, e.byHand(0, "the window of %s can't be ended there by itself: %d changes would come of it", who, len(changes))
	}
	return out, nil
}

type editor struct {
	file, end, at string
	lines         []string
}

func (e *editor) byHand(line int, format string, args ...any) error {
	return strict.At(e.file, line, format, args...).
		WithHint("edit a copy by hand, with\n    window: {%s: %s}\nbeside the key, and look at it with\nfleetctl policy diff", e.end, e.at)
}

func (e *editor) revoke(root *strict.Node, who string) error {
	for _, part := range []string{"log", "witness"} {
		if name, ok := strings.CutPrefix(who, part+" "); ok {
			return e.logKey(root, part, name)
		}
	}
	for _, p := range places {
		name, ok := strings.CutPrefix(who, p.part+" ")
		if !ok {
			continue
		}
		list := root
		for _, step := range p.path {
			list = get(list, step.(string))
		}
		var found []*strict.Node
		if list != nil {
			found = slices.DeleteFunc(slices.Clone(list.Items), func(n *strict.Node) bool { return get(n, "name") == nil || n.Get("name").Text != name })
		}
		switch len(found) {
		case 0:
			return strict.Errorf(e.file, "has no %s %s", p.part, strict.Said(name))
		case 1:
			return e.window(found[0])
		}
		return e.byHand(found[1].Line, "%s has %d keys, and it isn't said which", who, len(found))
	}
	return strict.Errorf("", "%q says no part and name", strict.Said(who)).
		WithHint("a part is one of person, third party, additional key, operator, submitter, keeper, log, witness: person olga")
}

func blockItem() *regexp.Regexp { return regexp.MustCompile(`^(\s*- +)[A-Za-z_]+:`) }
func flowItem() *regexp.Regexp  { return regexp.MustCompile(`^\s*- +\{`) }
func flowEnds() *regexp.Regexp  { return regexp.MustCompile(`window: *\{([^{}]*)\}`) }

// window ends the window of an element.
func (e *editor) window(item *strict.Node) error {
	line := &e.lines[item.Line-1]
	if w := item.Get("window"); w != nil {
		at := &e.lines[w.Line-1]
		m := flowEnds().FindStringSubmatchIndex(*at)
		if m == nil || strings.Count(*at, "window:") != 1 {
			return e.byHand(w.Line, "the key has a window already, and it doesn't stand in one line")
		}
		ends := ""
		for _, f := range w.Fields {
			if f.Name != e.end {
				ends += f.Name + ": " + f.Value.Text + ", "
			}
		}
		*at = (*at)[:m[2]] + ends + e.end + ": " + e.at + (*at)[m[3]:]
		return nil
	}
	text := fmt.Sprintf("window: {%s: %s}", e.end, e.at)
	if m := blockItem().FindStringSubmatch(*line); m != nil {
		*line = strings.TrimSuffix(*line, "\n") + "\n" + strings.Repeat(" ", len(m[1])) + text + "\n"
		return nil
	}
	if flowItem().MatchString(*line) {
		*line = strings.Replace(*line, "{", "{"+text+", ", 1)
		return nil
	}
	return e.byHand(item.Line, "the key is written in a way in which no window can be put beside it by itself")
}

// logKey ends the window of a key of log_policy, whose windows stand in a list beside it.
func (e *editor) logKey(root *strict.Node, part, name string) error {
	var vkey string
	if p := root.Get("log_policy"); p != nil {
		for _, line := range itemsOf(p) {
			f := strings.Split(line.Text, " ")
			key := f[1]
			if part == "witness" && len(f) > 2 {
				key = f[2]
			}
			if f[0] != part || part == "witness" && f[1] != name || part == "log" && !strings.HasPrefix(key, name+"+") {
				continue
			}
			if vkey != "" {
				return e.byHand(p.Line, "%s %s has several keys, and it isn't said which", part, name)
			}
			vkey = key
		}
	}
	if vkey == "" {
		return strict.Errorf(e.file, "log_policy has no %s %s", part, strict.Said(name))
	}
	text := fmt.Sprintf("- key: %s\n    window: {%s: %s}\n", vkey, e.end, e.at)
	list := root.Get("log_windows")
	if list == nil {
		last := &e.lines[len(e.lines)-1]
		if *last != "" {
			*last += "\n"
		}
		e.lines = append(e.lines, "log_windows:\n  "+text)
		return nil
	}
	for _, item := range list.Items {
		if k := item.Get("key"); k != nil && k.Text == vkey {
			return e.window(item)
		}
	}
	first := list.Items[0].Line - 1
	m := blockItem().FindStringSubmatch(e.lines[first])
	if m == nil {
		return e.byHand(list.Line, "log_windows is written in a way in which none can be put by itself")
	}
	pad := strings.Repeat(" ", strings.IndexByte(m[1], '-'))
	e.lines[first] = pad + strings.ReplaceAll(text, "\n    ", "\n"+pad+"  ") + e.lines[first]
	return nil
}
