package securosys

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Limits of a statement. Primus writes 24 elements, without a policy.
const (
	maxElements   = 128
	maxDepth      = 8
	maxAttributes = 4
)

// element is one element of a statement: it holds text or further elements.
type element struct {
	name       string
	attributes map[string]string
	text       string
	children   []element
}

// reader reads the small part of XML that Primus uses. Two parsers can read
// different things from the same XML if it has entities, CDATA, comments,
// namespaces, processing instructions or empty elements. So a statement that has any
// of these is refused, and the error names it.
type reader struct {
	in    []byte
	at    int
	count int
}

const declaration = `<?xml version="1.0" encoding="UTF-8"?>`

// parseXML reads a statement whose root has the given name.
func parseXML(in []byte, root string) (*element, error) {
	if !utf8.Valid(in) {
		return nil, fmt.Errorf("xml: it is not UTF-8")
	}
	for i, b := range in {
		if b < 0x20 && b != '\n' && b != '\t' {
			return nil, fmt.Errorf("xml: byte %d is the control character %02X", i, b)
		}
	}
	r := &reader{in: in}
	if bytes.HasPrefix(in, []byte(declaration)) {
		r.at = len(declaration)
	}
	r.space()
	e, err := r.element(0)
	if err != nil {
		return nil, err
	}
	r.space()
	if r.at < len(r.in) {
		return nil, r.fault("%q follows the end of the statement", strict.Clip(string(r.in[r.at:])))
	}
	if e.name != root {
		return nil, fmt.Errorf("xml: its root is <%s>; <%s> is read", strict.Clip(e.name), root)
	}
	return e, nil
}

func (r *reader) fault(format string, args ...any) error {
	line := 1 + bytes.Count(r.in[:r.at], []byte("\n"))
	return fmt.Errorf("xml: line %d: %s", line, fmt.Sprintf(format, args...))
}

func (r *reader) space() {
	for r.at < len(r.in) && (r.in[r.at] == ' ' || r.in[r.at] == '\t' || r.in[r.at] == '\n') {
		r.at++
	}
}

// has takes a text if it stands here.
func (r *reader) has(s string) bool {
	if !bytes.HasPrefix(r.in[r.at:], []byte(s)) {
		return false
	}
	r.at += len(s)
	return true
}

// name reads a name of small letters, digits and underscores.
func (r *reader) name() string {
	start := r.at
	for r.at < len(r.in) {
		if b := r.in[r.at]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' {
			break
		}
		r.at++
	}
	return string(r.in[start:r.at])
}

// foreign names what begins here if it is a part of XML that isn't read.
func (r *reader) foreign() string {
	for _, f := range []struct{ start, what string }{
		{"<!--", "a comment"}, {"<![CDATA[", "a CDATA section"}, {"<!", "a document type or an entity's declaration"}, {"<?", "a processing instruction"}, {"&", "an entity"},
	} {
		if bytes.HasPrefix(r.in[r.at:], []byte(f.start)) {
			return f.what
		}
	}
	return ""
}

func (r *reader) element(depth int) (*element, error) {
	if what := r.foreign(); what != "" {
		return nil, r.fault("%s, which isn't read", what)
	}
	if r.count++; r.count > maxElements || depth >= maxDepth {
		return nil, r.fault("more than %d elements, or more than %d inside each other", maxElements, maxDepth)
	}
	if !r.has("<") {
		return nil, r.fault("%q where an element belongs", strict.Clip(string(r.in[r.at:])))
	}
	e := &element{name: r.name(), attributes: map[string]string{}}
	if e.name == "" {
		return nil, r.fault("an element without a name of small letters")
	}
	for !r.has(">") {
		if err := r.attribute(e); err != nil {
			return nil, err
		}
	}
	if err := r.content(e, depth); err != nil {
		return nil, err
	}
	return e, nil
}

func (r *reader) attribute(e *element) error {
	rest := r.in[r.at:]
	if bytes.HasPrefix(rest, []byte(":")) || bytes.HasPrefix(rest, []byte(" xmlns")) {
		return r.fault("<%s> has a namespace, which isn't read", e.name)
	}
	if !r.has(" ") {
		return r.fault("<%s is followed by %q: an empty element, or none", e.name, strict.Clip(string(rest)))
	}
	name := r.name()
	if _, twice := e.attributes[name]; twice || name == "" || len(e.attributes) == maxAttributes || !r.has(`="`) {
		return r.fault("<%s> has an attribute %q that stands twice, is one of more than %d, or isn't one", e.name, strict.Clip(name), maxAttributes)
	}
	end := bytes.IndexAny(r.in[r.at:], "\"<&")
	if end < 0 || r.in[r.at+end] != '"' {
		return r.fault("the attribute %s of <%s> has no end, or an entity, which isn't read", strict.Clip(name), e.name)
	}
	e.attributes[name] = string(r.in[r.at : r.at+end])
	r.at += end + 1
	return nil
}

// content reads text or elements, and the end.
func (r *reader) content(e *element, depth int) error {
	start := r.at
	for r.at < len(r.in) && r.in[r.at] != '<' && r.in[r.at] != '&' {
		r.at++
	}
	e.text = string(r.in[start:r.at])
	if what := r.foreign(); what != "" {
		return r.fault("%s in <%s>, which isn't read", what, e.name)
	}
	for !r.has("</") {
		child, err := r.element(depth + 1)
		if err != nil {
			return err
		}
		e.children = append(e.children, *child)
		r.space()
	}
	if got := r.name(); got != e.name || !r.has(">") {
		return r.fault("<%s> is ended by </%s", e.name, strict.Clip(got))
	}
	if len(e.children) > 0 {
		if len(bytes.TrimSpace([]byte(e.text))) > 0 {
			return r.fault("<%s> holds text beside elements", e.name)
		}
		e.text = ""
	}
	return nil
}
