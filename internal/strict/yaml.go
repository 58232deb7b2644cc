package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a YAML file. Files that people write by hand have a fiftieth of
// this; the tree takes a hundred times the memory of its file.
const (
	MaxYAML    = 512 << 10 // bytes
	maxEntries = 1024      // of one list or mapping
)

// ParseYAML reads one YAML document of the plainest kind: no anchors, aliases,
// tags, merge keys, directives or second document, no character that ends a
// line for some readers only or hides text, at most limit bytes. A plan is read by
// tired people and by other programs: what it says must not depend on rules
// that only one of them knows.
func ParseYAML(file string, data []byte, limit int) (*Node, error) {
	if len(data) > limit {
		return nil, Errorf(file, "has %d bytes, %d are allowed", len(data), limit)
	}
	if err := plainText(file, data); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, Errorf(file, "is empty")
		}
		return nil, yamlError(file, err)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, yamlError(file, err)
	default:
		return nil, At(file, max(second.Line, 1), "has more than one document")
	}
	if len(doc.Content) != 1 {
		return nil, Errorf(file, "is empty")
	}
	r := &yamlReader{file: file, lines: strings.Split(string(data), "\n")}
	return r.value(doc.Content[0], 0)
}

// plainText refuses characters that YAML 1.1, YAML 1.2, editors and terminals
// treat differently: a second line can hide in what looks like a comment.
func plainText(file string, data []byte) error {
	if !utf8.Valid(data) {
		return Errorf(file, "is not UTF-8")
	}
	line, text := 1, string(data)
	for i, c := range text {
		switch {
		case c == '\n':
			line++
		case c == '\r' && strings.HasPrefix(text[i:], "\r\n"), c == '\t':
		case unicode.IsControl(c), c == 0xfeff, c == 0x2028, c == 0x2029, // byte order mark, line breaks
			c >= 0x202a && c <= 0x202e, c >= 0x2066 && c <= 0x2069: // change of direction
			return At(file, line, "has the character %U; write it as an escape in double quotes", c)
		}
	}
	for i, s := range strings.Split(text, "\n") {
		if strings.HasPrefix(s, "%") {
			return At(file, i+1, "has a directive; they are not allowed")
		}
		if s = strings.TrimSpace(s); s != "" && s[0] != '#' {
			break // directives come first
		}
	}
	return nil
}

var (
	yamlLine   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^yaml: (?:line (\d+): )?`) })
	yamlParser = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^did not find expected (<|node content|'-'|key|',')`)
	})
	yamlNowhere = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(unknown anchor|exceeded max depth)`) })
)

func yamlError(file string, err error) *Error {
	msg := err.Error()
	m := yamlLine().FindStringSubmatch(msg)
	if m == nil {
		return Errorf(file, "is not YAML: %s", Clip(msg))
	}
	line, _ := strconv.Atoi(m[1])
	msg = msg[len(m[0]):]
	// The library counts from 0 in faults of its parser, from 1 in those of its
	// scanner, and leaves the first line out.
	switch {
	case yamlNowhere().MatchString(msg):
		line = 0
	case yamlParser().MatchString(msg):
		line++
	case line == 0:
		line = 1
	}
	return At(file, line, "is not YAML: %s", Clip(msg))
}

type yamlReader struct {
	file   string
	lines  []string
	line   int    // whose characters are
	cached []rune // these
}

// tagged says whether y has a tag. The library doesn't keep the tag "!", with
// which other readers take 7 for a string, so the text where y begins is looked at.
func (r *yamlReader) tagged(y *yaml.Node) bool {
	if y.Style&yaml.TaggedStyle != 0 {
		return true
	}
	if y.Line != r.line {
		r.line, r.cached = y.Line, nil
		if y.Line >= 1 && y.Line <= len(r.lines) {
			r.cached = []rune(r.lines[y.Line-1])
		}
	}
	return y.Column >= 1 && y.Column <= len(r.cached) && r.cached[y.Column-1] == '!'
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*Node, error) {
	file, n := r.file, &Node{Line: min(y.Line, len(r.lines))} // nothing may stand behind the end
	switch {
	case depth > maxDepth:
		return nil, At(file, y.Line, "nests more than %d deep", maxDepth)
	case y.Kind == yaml.SequenceNode && len(y.Content) > maxEntries, y.Kind == yaml.MappingNode && len(y.Content) > 2*maxEntries:
		return nil, At(file, y.Line, "has more than %d entries in one list or mapping", maxEntries)
	case y.Kind == yaml.AliasNode || y.Anchor != "":
		return nil, At(file, y.Line, "has an anchor or alias; write the value out")
	case r.tagged(y):
		return nil, At(file, y.Line, "has a tag; tags are not allowed")
	case y.Kind == yaml.MappingNode:
		n.Kind = Object
		if err := r.object(y, n, depth); err != nil {
			return nil, err
		}
		return n, nil
	case y.Kind == yaml.SequenceNode:
		n.Kind = Array
		for _, item := range y.Content {
			v, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, v)
		}
		return n, nil
	case y.Kind != yaml.ScalarNode:
		return nil, At(file, y.Line, "has a value of no known kind")
	}
	n.Text = y.Value
	n.Quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	n.Kind = String
	if !n.Quoted {
		// 0x10 and 1e3 are numbers too, but a field that wants an integer takes only
		// the spelling of ParseUint.
		switch {
		case y.Value == "" || y.Value == "null" || y.Value == "~":
			n.Kind = Null
		case y.Value == "true" || y.Value == "false":
			n.Kind = Bool
		case y.Tag == "!!int" || y.Tag == "!!float":
			n.Kind = Number
		case elsewhere(y.Value):
			return nil, At(file, y.Line, "has %q, which readers of YAML 1.1 take for something else", Clip(y.Value)).WithHint("put it in quotes")
		}
	}
	return n, nil
}

// What YAML 1.1 makes of a plain scalar that is a string here: a number to the base of
// 60, a day.
var (
	yaml11Base = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`) })
	yaml11Day  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?$`) })
)

// elsewhere says whether YAML 1.1 reads a plain scalar differently: as a boolean, as
// nothing, or as above. A time in timeLayout is the same time in both.
func elsewhere(s string) bool {
	switch s { // no pattern is compiled before a text may fit it: few do
	case "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "True", "TRUE", "False", "FALSE",
		"on", "On", "ON", "off", "Off", "OFF", "Null", "NULL", "=":
		return true
	}
	if s[0] > '9' { // numbers and days begin with a digit or a sign
		return false
	}
	_, err := ParseTime(s)
	return err != nil && (yaml11Day().MatchString(s) || yaml11Base().MatchString(s))
}

func (r *yamlReader) object(y *yaml.Node, n *Node, depth int) error {
	file, seen := r.file, map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		if k.Kind != yaml.ScalarNode || k.Anchor != "" || r.tagged(k) || k.Tag == "!!merge" {
			return At(file, k.Line, "has a field name that is no plain word")
		}
		if seen[k.Value] {
			return At(file, k.Line, "has %q twice", Clip(k.Value))
		}
		seen[k.Value] = true
		v, err := r.value(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		n.Fields = append(n.Fields, Field{Name: k.Value, Line: k.Line, Value: v})
	}
	return nil
}

// QuoteYAML writes a double-quoted scalar (YAML 1.2, 7.3.1) of any string.
func QuoteYAML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r): // readers refuse some of these as they are
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
