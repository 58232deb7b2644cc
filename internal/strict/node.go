package strict

// Kind is what a Node holds.
type Kind int

// The kinds of value that JSON and our YAML subset share.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "a list"
	case Object:
		return "an object"
	}
	return "an unknown kind"
}

// Node is a value that knows its line, so that a fault found long after
// reading can still be pinned to where it stands. JSON and YAML are both read
// into it: one set of rules for fields and scalars serves both.
type Node struct {
	Kind   Kind
	Line   int
	Text   string // Bool, Number: as written; String: its content
	Quoted bool   // String in YAML: quotes keep "7" a string and 7 a number
	Items  []*Node
	Fields []Field // Object, in the order written
}

// Field is one member of an Object.
type Field struct {
	Name  string
	Line  int
	Value *Node
}

// Get finds a member by its exact name.
func (n *Node) Get(name string) *Node {
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return n.Fields[i].Value
		}
	}
	return nil
}

// LineOf gives the line of a value: names lead into objects, numbers into lists.
// Where the path leads to nothing, it is the line of the last value on it.
func (n *Node) LineOf(path ...any) int {
	line := n.Line
	for _, p := range path {
		var next *Node
		switch p := p.(type) {
		case string:
			next = n.Get(p)
		case int:
			if p < len(n.Items) {
				next = n.Items[p]
			}
		}
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

// member is Get for the i-th field of a struct, which is mostly the object's i-th
// member too.
func (n *Node) member(name string, i int) *Node {
	if i < len(n.Fields) && n.Fields[i].Name == name {
		return n.Fields[i].Value
	}
	return n.Get(name)
}

// maxDepth bounds the reader's recursion; no format of ours nests half as deep.
const maxDepth = 32

// Format demands that a file begins with the field format, and that this has the
// wanted value. It is checked before the other fields, because for a file of
// another kind a list of missing fields would help nobody.
func Format(file string, n *Node, format string) error {
	if len(n.Fields) == 0 || n.Fields[0].Name != "format" {
		return At(file, n.Line, "does not begin with the field \"format\"; expected was %q", format).
			WithHint("fleetctl show FILE says what a file is")
	}
	if f := n.Fields[0].Value; f.Kind != String || f.Text != format {
		return At(file, f.Line, "format is %q, not %q", f.Text, format).
			WithHint("fleetctl show FILE says what a file is")
	}
	return nil
}
