package succession

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The ways in which a change moves what passes.
const (
	Looser   = "looser"   // something passes that didn't
	Stricter = "stricter" // something that passed doesn't
	Other    = "other"    // it can't be said which: weigh it
)

// Change is one difference between two policies.
type Change struct {
	Path   string // people[officer olga].window.not_after
	Effect string
	Text   string // what was, what is
}

// Diff lists what differs between two policies without fault, in the order of the
// newer one. Comments, order and spelling of YAML are no difference.
func Diff(fileA string, older []byte, fileB string, newer []byte) ([]Change, error) {
	was, err := evidence.ParsePolicy(fileA, older)
	if err != nil {
		return nil, err
	}
	is, err := evidence.ParsePolicy(fileB, newer)
	if err != nil {
		return nil, err
	}
	a, err := strict.ParseYAML(fileA, older, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	b, err := strict.ParseYAML(fileB, newer, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	d := &differ{}
	d.object("", a, b)
	d.witnesses(was, is)
	if len(d.list) == 0 && sha256.Sum256(older) != sha256.Sum256(newer) {
		d.add("", Other, "the files differ in comments or spelling alone")
	}
	return d.list, nil
}

type differ struct{ list []Change }

func (d *differ) add(path, effect, format string, args ...any) {
	d.list = append(d.list, Change{path, effect, fmt.Sprintf(format, args...)})
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// object compares member by member.
func (d *differ) object(path string, a, b *strict.Node) {
	for _, f := range fieldsOf(b) {
		d.member(join(path, f.Name), get(a, f.Name), f.Value)
	}
	for _, f := range fieldsOf(a) {
		if get(b, f.Name) == nil {
			d.member(join(path, f.Name), f.Value, nil)
		}
	}
}

func (d *differ) member(path string, a, b *strict.Node) {
	if same(a, b) {
		return
	}
	r := ruleOf(path)
	switch {
	case r.weigh != nil:
		d.add(path, r.weigh(a, b), "%s", wasIs(a, b))
	case r.identity != nil:
		d.elements(path, r, a, b)
	case kindOf(a, b) == strict.Object:
		d.object(path, a, b)
	default:
		d.add(path, Other, "%s", wasIs(a, b))
	}
}

// witnesses tells whose cosignatures begin to count, or cease to, since a third party or
// an operator of the same organisation went or came.
func (d *differ) witnesses(a, b *evidence.Policy) {
	before, now := counting(a), counting(b)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		was, known := before[name]
		switch is := now[name]; {
		case known && is && !was:
			d.add("log_policy[witness "+name+"]", Looser, "counts for a quorum now: no third party and no operator is of its organisation any more")
		case known && was && !is:
			d.add("log_policy[witness "+name+"]", Stricter, "counts for no quorum any more: a third party or an operator is of its organisation")
		}
	}
}

// counting says of each witness whether its cosignatures count.
func counting(p *evidence.Policy) map[string]bool {
	list := map[string]bool{}
	if p.Log == nil {
		return list
	}
	for _, w := range p.Log.Witnesses() {
		list[w.Name] = true
	}
	for _, text := range p.Log.Discounted() {
		name, _, _ := strings.Cut(text, ": ") // no name has a space
		list[name] = false
	}
	return list
}

// elements compares lists whose elements are known by their identity.
func (d *differ) elements(path string, r rule, a, b *strict.Node) {
	was, is := byIdentity(r, a), byIdentity(r, b)
	for _, e := range is {
		i := slices.IndexFunc(was, func(x element) bool { return x.id == e.id })
		switch at := fmt.Sprintf("%s[%s]", path, r.label(e.node)); {
		case i < 0:
			d.add(at, r.more(a, b), "is there now%s", told(e.node))
		case e.node.Kind == strict.Object:
			d.object(at, was[i].node, e.node)
		}
	}
	for _, e := range was {
		if !slices.ContainsFunc(is, func(x element) bool { return x.id == e.id }) {
			d.add(fmt.Sprintf("%s[%s]", path, r.label(e.node)), r.less(a, b), "is there no longer%s", told(e.node))
		}
	}
}

type element struct {
	id   string
	node *strict.Node
}

// byIdentity gives a list's elements. Of those with one identity, which a policy without
// fault has only where they differ otherwise, each further one has a number.
func byIdentity(r rule, n *strict.Node) (list []element) {
	if n == nil {
		return nil
	}
	seen := map[string]int{}
	for _, item := range itemsOf(n) {
		id := r.identity(item)
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s #%d", id, seen[id])
		}
		list = append(list, element{id, item})
	}
	return list
}

// itemsOf are a list's elements, or a text's lines that are no comments: a log policy's,
// whose words have spaces and tabs between them and nothing else.
func itemsOf(n *strict.Node) (list []*strict.Node) {
	if n.Kind != strict.String {
		return n.Items
	}
	for line := range strings.Lines(n.Text) {
		if text := strings.Join(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\n", r) }), " "); text != "" && !strings.HasPrefix(text, "#") {
			list = append(list, &strict.Node{Kind: strict.String, Text: text})
		}
	}
	return list
}

func fieldsOf(n *strict.Node) []strict.Field {
	if n == nil {
		return nil
	}
	return n.Fields
}

func get(n *strict.Node, name string) *strict.Node {
	if n == nil {
		return nil
	}
	return n.Get(name)
}

func kindOf(a, b *strict.Node) strict.Kind {
	if b != nil {
		return b.Kind
	}
	return a.Kind
}

// same compares what two values say. A mapping's order means nothing.
func same(a, b *strict.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !same(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, f := range a.Fields {
		if !same(f.Value, b.Get(f.Name)) {
			return false
		}
	}
	return true
}

func wasIs(a, b *strict.Node) string {
	switch {
	case a == nil:
		return "is " + brief(b) + "; was not there"
	case b == nil:
		return "was " + brief(a) + "; is not there"
	}
	return "was " + brief(a) + "; is " + brief(b)
}

// told is an element's content where its identity doesn't say it.
func told(n *strict.Node) string {
	if n.Kind != strict.Object {
		return ""
	}
	return ": " + brief(n)
}

// brief writes a value in a line that people read.
func brief(n *strict.Node) string { return strict.Said(whole(n)) }

// whole writes all of a value in a line.
func whole(n *strict.Node) string {
	var parts []string
	switch n.Kind {
	case strict.Object:
		for _, f := range n.Fields {
			parts = append(parts, f.Name+" "+whole(f.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case strict.Array:
		for _, item := range n.Items {
			parts = append(parts, whole(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return n.Text
}
