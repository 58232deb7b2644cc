// Package explain puts every object and every record into words. It verifies nothing, and
// reads no files.
package explain

import (
	"strings"
)

// Shown is what a file says, in words. The function for its format makes it; commands show
// it.
type Shown struct {
	Kind   string
	Format string // the file's own name for its format, or the specification's
	File   string
	Size   int
	SHA256 string // not for a folder
	Mode   string
	Facts  []Fact
	Tables []Table
	Next   string
	// Verified is always false, for programs that read only this field.
	Verified bool

	Title string
}

// Fact is a name and a value.
type Fact struct {
	Name  string `strict:"name"`
	Value string `strict:"value"`
}

// Table has a row for each of several things.
type Table struct {
	Name    string     `strict:"name"`
	Columns []string   `strict:"columns"`
	Rows    [][]string `strict:"rows"`

	Events []Event // the rows, if they are a timeline
}

// Fact adds a fact.
func (s *Shown) Fact(name, value string) { s.Facts = append(s.Facts, Fact{name, value}) }

// Table adds a table, which [Table.Row] fills.
func (s *Shown) Table(name string, columns ...string) *Table {
	s.Tables = append(s.Tables, Table{Name: name, Columns: columns, Rows: [][]string{}})
	return &s.Tables[len(s.Tables)-1]
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// FormatOf is the value of a file's field format. It also finds it in a malformed file, so
// that the format's parser can say what is wrong.
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
