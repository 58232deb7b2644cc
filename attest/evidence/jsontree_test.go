package evidence_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// tree is a JSON value that keeps the order of its fields, so that what is
// written back differs in nothing but the change. It is the test's own reader.
type tree struct {
	kind   byte // { [ " 0 t n
	text   string
	names  []string
	items  []*tree
	inside *tree // a string that holds JSON itself, plainly or in base64
	base64 bool
}

func parseTree(data []byte) (*tree, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return readTree(d)
}

func readTree(d *json.Decoder) (*tree, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case json.Delim:
		n := &tree{kind: byte(v)}
		for d.More() {
			if v == '{' {
				name, err := d.Token()
				if err != nil {
					return nil, err
				}
				n.names = append(n.names, name.(string))
			}
			item, err := readTree(d)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, err := d.Token()
		return n, err
	case string:
		n := &tree{kind: '"', text: v}
		n.nest()
		return n, nil
	case json.Number:
		return &tree{kind: '0', text: v.String()}, nil
	case bool:
		return &tree{kind: 't', text: fmt.Sprint(v)}, nil
	}
	return &tree{kind: 'n', text: "null"}, nil
}

func (n *tree) nest() {
	data := []byte(n.text)
	if !strings.HasPrefix(n.text, "{") {
		b, err := base64.StdEncoding.DecodeString(n.text)
		if err != nil || !bytes.HasPrefix(b, []byte("{")) {
			return
		}
		data, n.base64 = b, true
	}
	inside, err := parseTree(data)
	if err == nil && bytes.Equal(inside.like(data), data) {
		n.inside = inside
	}
}

// like writes the tree as data is written: on one line, or indented with LF.
func (n *tree) like(data []byte) []byte {
	lf := ""
	if bytes.HasSuffix(data, []byte("\n")) {
		lf = "\n"
	}
	var b bytes.Buffer
	n.write(&b, lf, 0)
	return append(b.Bytes(), lf...)
}

func (n *tree) write(b *bytes.Buffer, lf string, depth int) {
	pad := func(d int) {
		if lf != "" {
			b.WriteString(lf + strings.Repeat("  ", d))
		}
	}
	switch n.kind {
	case '"':
		b.Write(quote(n.content()))
	case '{', '[':
		b.WriteByte(n.kind)
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			pad(depth + 1)
			if n.kind == '{' {
				b.Write(quote(n.names[i]))
				b.WriteByte(':')
				if lf != "" {
					b.WriteByte(' ')
				}
			}
			item.write(b, lf, depth+1)
		}
		if len(n.items) > 0 {
			pad(depth)
		}
		b.WriteByte(n.kind + 2) // } or ]
	default:
		b.WriteString(n.text)
	}
}

func (n *tree) content() string {
	if n.inside == nil {
		return n.text
	}
	if !n.base64 {
		return string(n.inside.like([]byte("{}")))
	}
	old, _ := base64.StdEncoding.DecodeString(n.text)
	return base64.StdEncoding.EncodeToString(n.inside.like(old))
}

func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// change is one edit of a tree, undone by its undo.
type change struct {
	name     string
	do, undo func()
}

// changes are all single edits of everything in the tree: each field and item
// dropped, doubled, swapped with the next; each scalar turned into another.
func (n *tree) changes(at string, yield func(change) bool) bool {
	for i, item := range n.items {
		where := fmt.Sprintf("%s[%d]", at, i)
		if n.kind == '{' {
			where = at + "." + n.names[i]
		}
		names, items := n.names, n.items
		set := func(what string, edit func(names []string, items []*tree) ([]string, []*tree)) change {
			return change{what + " " + where, func() {
				ns := slices.Clone(names)
				if ns == nil {
					ns = make([]string, len(items))
				}
				n.names, n.items = edit(ns, slices.Clone(items))
			}, func() { n.names, n.items = names, items }}
		}
		list := []change{
			set("drop", func(a []string, b []*tree) ([]string, []*tree) {
				return slices.Delete(a, i, i+1), slices.Delete(b, i, i+1)
			}),
			set("double", func(a []string, b []*tree) ([]string, []*tree) {
				return slices.Insert(a, i, a[i]), slices.Insert(b, i, b[i])
			}),
		}
		if i+1 < len(items) {
			list = append(list, set("swap", func(a []string, b []*tree) ([]string, []*tree) {
				a[i], a[i+1], b[i], b[i+1] = a[i+1], a[i], b[i+1], b[i]
				return a, b
			}), set("exchange values of", func(a []string, b []*tree) ([]string, []*tree) {
				b[i], b[i+1] = b[i+1], b[i]
				return a, b
			}))
		}
		for _, c := range list {
			if !yield(c) {
				return false
			}
		}
		if !item.changes(where, yield) {
			return false
		}
	}
	if n.inside != nil {
		return n.inside.changes(at+"→", yield)
	}
	if n.kind == '{' || n.kind == '[' {
		return true
	}
	old := *n
	for _, to := range n.others() {
		if !yield(change{fmt.Sprintf("turn %s into %.12q", at, to.text), func() { *n = to }, func() { *n = old }}) {
			return false
		}
	}
	return true
}

// others are neighbours of a scalar: as alike as a forger could want.
func (n *tree) others() []tree {
	switch n.kind {
	case '0':
		return []tree{{kind: '0', text: n.text + "0"}, {kind: '0', text: "0"}, {kind: '"', text: n.text}}
	case 't':
		return []tree{{kind: 't', text: map[string]string{"true": "false", "false": "true"}[n.text]}, {kind: 'n', text: "null"}}
	case '"':
		list := []tree{{kind: '"', text: ""}, {kind: '"', text: n.text + " "}, {kind: 'n', text: "null"}}
		if n.text != "" {
			list = append(list, tree{kind: '"', text: nextDigit(n.text[:1]) + n.text[1:]},
				tree{kind: '"', text: n.text[:len(n.text)-1] + nextDigit(n.text[len(n.text)-1:])})
		}
		return list
	}
	return []tree{{kind: '"', text: "x"}}
}

// nextDigit stays in the alphabets of hex, base64 and tokens.
func nextDigit(c string) string {
	if c == "0" {
		return "1"
	}
	return "0"
}
