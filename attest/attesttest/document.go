package attesttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/durable"
)

const (
	tableHead = "| format | device | samples verified | hostile variants refused |\n|---|---|---:|---:|\n"
	tableEnd  = "<!-- end of the table -->\n"
)

// Document is docs/attestation.md, found from the folder of the test that runs.
func Document(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "docs", "attestation.md")
		}
	}
	t.Fatal("no go.mod above the test's folder")
	return ""
}

// document compares the format's row and section with what was run, or writes
// them. Packages' tests run beside each other, so the one that writes holds a
// lock.
func (s *Suite) document(t *testing.T) {
	t.Helper()
	path := Document(t)
	write := os.Getenv("FLEETCTL_WRITE") == "1"
	if write {
		lock := filepath.Join(os.TempDir(), "fleetctl-attestation-table.lock")
		unlock, err := durable.Hold(lock)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.into(string(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	switch {
	case want == string(data):
	case write:
		if err := durable.WriteCache(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not say what was run; FLEETCTL_WRITE=1 go test ./attest/... writes it", path)
	}
}

// into puts a format's row and section into the document, each in the order of
// the formats' names.
func (s *Suite) into(text string) (string, error) {
	before, rest, ok := strings.Cut(text, tableHead)
	table, sections, both := strings.Cut(rest, tableEnd)
	if !ok || !both {
		return "", fmt.Errorf("the table's head or its end is missing: %q", tableHead+tableEnd)
	}
	name := s.Verifier.Format()
	row := fmt.Sprintf("| [`%s`](#%s) | %s | %d | %d |", name, name, s.Device, len(s.Samples), len(s.Hostile))
	rows := place(lines(table), row, func(a string) string { f, _, _ := strings.Cut(a, "`]"); return f })
	parts := strings.Split(strings.TrimSpace(sections), "\n\n## ")
	parts[0] = strings.TrimPrefix(parts[0], "## ")
	if parts[0] == "" {
		parts = nil
	}
	parts = place(parts, s.section(), func(a string) string { f, _, _ := strings.Cut(a, "\n"); return f })
	return before + tableHead + strings.Join(rows, "\n") + "\n" + tableEnd + "\n## " + strings.Join(parts, "\n\n## ") + "\n", nil
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// place replaces the entry with the same key, or inserts it in order.
func place(list []string, entry string, key func(string) string) []string {
	list = slices.DeleteFunc(list, func(a string) bool { return key(a) == key(entry) })
	i, _ := slices.BinarySearchFunc(list, entry, func(a, b string) int { return strings.Compare(key(a), key(b)) })
	return slices.Insert(list, i, entry)
}

// section lists what was run, without the mark of its heading.
func (s *Suite) section() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s\n\n%s. Parts of its evidence:\n\n", s.Verifier.Format(), s.Device)
	for _, p := range s.Verifier.Parts() {
		optional := ""
		if p.Optional {
			optional = " (optional)"
		}
		fmt.Fprintf(b, "- `%s`%s: %s\n", p.Name, optional, p.What)
	}
	if len(s.Samples) > 0 {
		b.WriteString("\n| sample | level |\n|---|---|\n")
	}
	for _, x := range s.Samples {
		fmt.Fprintf(b, "| %s | %s |\n", x.Name, x.Level)
	}
	b.WriteString("\n| hostile variant | kind | refused by the words |\n|---|---|---|\n")
	for _, x := range s.Hostile {
		fmt.Fprintf(b, "| %s | %s | %s |\n", x.Name, x.Kind, strings.ReplaceAll(x.Want, "|", `\|`))
	}
	for _, k := range kinds {
		if why := s.Without[k]; why != "" {
			fmt.Fprintf(b, "| none | %s | %s |\n", k, why)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
