package bundle

import (
	"bytes"
	"reflect"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Modes. A plan, its records and its artifact have the same one.
const (
	Production = "production"
	Rehearsal  = "rehearsal"
)

// RehearsalPrefix begins the namespace of every rehearsal and no other, so that
// nobody takes a rehearsal's epoch for a real one by its name.
const RehearsalPrefix = "rehearsal."

// document is one file that is being checked, and the faults found so far. A fault
// that is found after reading gets its line from a tree of the file, which is built
// only then: most files have no fault.
type document struct {
	file  string
	data  []byte
	limit int
	tree  *strict.Node
	errs  strict.Errors
}

// root is the tree's.
func (d *document) root() *strict.Node {
	if d.tree == nil {
		n, err := strict.ParseJSON(d.file, d.data, d.limit)
		if err != nil {
			n = &strict.Node{} // it was read before
		}
		d.tree = n
	}
	return d.tree
}

// open reads a JSON object into v, which is zero. Where format isn't empty, the
// first member must be the field format with that value.
func open(file string, data []byte, limit int, format string, v any) (*document, error) {
	d := &document{file: file, data: data, limit: limit}
	if strict.DecodeWritten(string(data), limit, v) && (format == "" || begins(data, format)) {
		return d, nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	n, err := strict.ParseJSON(file, data, limit)
	if err != nil {
		return nil, err
	}
	// White space may stand only inside the value; one LF may follow it.
	if body := bytes.TrimSuffix(data, []byte("\n")); n.Kind != strict.Object || body[0] != '{' || body[len(body)-1] != '}' {
		return nil, strict.At(file, 1, "is not one JSON object with at most one line feed after it")
	}
	if format != "" {
		if err := strict.Format(file, n, format); err != nil {
			return nil, err
		}
	}
	if err := strict.Decode(file, n, v); err != nil {
		return nil, err
	}
	d.tree = n
	return d, nil
}

// begins says whether a file in one of the two forms that we write has this format.
func begins(data []byte, format string) bool {
	rest, ok := bytes.CutPrefix(data, []byte("{\"format\":\""))
	if !ok {
		rest, ok = bytes.CutPrefix(data, []byte("{\n  \"format\": \""))
	}
	return ok && len(rest) > len(format) && string(rest[:len(format)]) == format && rest[len(format)] == '"'
}

// at walks to a member (string) or item (int). Decode has made sure that the
// required ones exist.
func (d *document) at(path ...any) *strict.Node {
	n := d.root()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			n = n.Get(s)
		case int:
			n = n.Items[s]
		}
	}
	return n
}

func (d *document) failf(n *strict.Node, format string, args ...any) {
	d.errs = append(d.errs, strict.At(d.file, n.Line, format, args...))
}
