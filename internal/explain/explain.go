// Package explain puts every object and every record into words. It verifies
// nothing, and reaches nothing.
package explain

import (
	"strings"
)

// Shown is what a file says, in words: made by the explainer of its format,
// rendered here as text or as JSON.
type Shown struct {
	Kind   string  `strict:"kind"`
	Format string  `strict:"format"` // as the file names itself, or the specification's name
	File   string  `strict:"file"`
	Size   int     `strict:"size"`
	SHA256 string  `strict:"sha256,optional"` // not of a folder
	Mode   string  `strict:"mode,optional"`
	Facts  []Fact  `strict:"facts"`
	Tables []Table `strict:"tables"`
	Next   string  `strict:"next"`
	// Verified is always false: whoever reads only this field reads the truth.
	Verified bool `strict:"verified"`

	Title string
}

// Fact is a line of its own.
type Fact struct {
	Name  string `strict:"name"`
	Value string `strict:"value"`
}

// Table is what there is more than one of.
type Table struct {
	Name    string     `strict:"name"`
	Columns []string   `strict:"columns"`
	Rows    [][]string `strict:"rows"`

	Events []Event // the rows, where they are a timeline
}

// Fact adds a fact.
func (s *Shown) Fact(name, value string) { s.Facts = append(s.Facts, Fact{name, value}) }

// Table adds a table, to be filled by [Table.Row].
func (s *Shown) Table(name string, columns ...string) *Table {
	s.Tables = append(s.Tables, Table{Name: name, Columns: columns, Rows: [][]string{}})
	return &s.Tables[len(s.Tables)-1]
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// FormatOf is what a file calls itself: the value of its field format. It is
// found in a malformed file too, so that the fault can be named by the format's
// own reader.
func FormatOf(data []byte) string {
	for line := range strings.Lines(string(data[:min(len(data), 64<<10)])) {
		name, value, ok := strings.Cut(strings.TrimLeft(line, "{ \t"), ":")
		if ok && strings.Trim(name, `"`) == "format" {
			value, _, _ = strings.Cut(strings.TrimSpace(value), ",")
			return strings.Trim(value, `"' `)
		}
	}
	return ""
}
