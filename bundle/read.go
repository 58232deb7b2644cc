package bundle

import (
	"bytes"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Modes. A plan, its records and its artifact have exactly one.
const (
	Production = "production"
	Rehearsal  = "rehearsal"
)

// RehearsalPrefix begins the namespace of every rehearsal and of nothing else,
// so that a rehearsal's epoch can't be taken for a real one by its name alone.
const RehearsalPrefix = "rehearsal."

// document is one file being judged: its tree, so that a fault found after
// reading still has a line, and the faults so far.
type document struct {
	file string
	root *strict.Node
	errs strict.Errors
}

// open reads a JSON object into v. Where format isn't empty, the first member
// must be the field format with that value.
func open(file string, data []byte, limit int, format string, v any) (*document, error) {
	n, err := strict.ParseJSON(file, data, limit)
	if err != nil {
		return nil, err
	}
	// White space is free inside the value alone; one LF may follow it.
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
	return &document{file: file, root: n}, nil
}

// at walks to a member (string) or item (int). Decode has made sure that the
// required ones exist.
func (d *document) at(path ...any) *strict.Node {
	n := d.root
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
