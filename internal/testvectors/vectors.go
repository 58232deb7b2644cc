// Package testvectors reads and writes testdata/vectors, the cases that every
// verifier is held to, in whatever language: for tests alone. README.md there says
// what a case has.
package testvectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Format begins every case.json.
const Format = "fleetctl vector v1"

// What a verifier says of a case. Alarm and Judged-nothing are a device's alone.
const (
	Accept     = "accept"
	Reject     = "reject"
	Alarm      = "alarm"
	Error      = "error"
	NotChecked = "not checked"
)

// Case is a case.json.
type Case struct {
	Format string `json:"format"`
	Kind   string `json:"kind"`
	Name   string `json:"-"` // its folder's name
	What   string `json:"what"`
	// Files are what is judged and by what, by their part in it: each a path from the
	// case's folder, with / between its names.
	Files map[string]string `json:"files"`
	// With are the question's other members, such as the time it is judged at.
	With map[string]string `json:"with,omitempty"`

	Verdict  string            `json:"verdict"`
	Reason   string            `json:"reason,omitempty"`    // words that fleetctl's refusal has
	Code     string            `json:"code,omitempty"`      // of a device's check, SPEC 24.3
	NotShown []string          `json:"not_shown,omitempty"` // the demanded claims that are short
	Claims   map[string]string `json:"claims,omitempty"`    // what is judged by claims: the grade of each that is shown
	After    map[string]string `json:"after,omitempty"`     // of a device: state and guard afterwards

	// By verifier, what it must say. What lies outside a verifier's scope it says it
	// has not checked.
	Go         string `json:"go"`
	Shell      string `json:"shell"`
	JavaScript string `json:"javascript"`
}

// Dir is the folder of all cases.
func Dir() string {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		panic("where this package's files are isn't known")
	}
	return filepath.Join(filepath.Dir(here), "..", "..", "testdata", "vectors")
}

// Read reads a case.
func Read(kind, name string) (*Case, error) {
	path := filepath.Join(Dir(), kind, name, "case.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Case{Name: name}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if c.Format != Format || c.Kind != kind {
		return nil, fmt.Errorf("%s: is a %q of kind %q", path, c.Format, c.Kind)
	}
	return c, nil
}

// Kinds are the kinds that there are cases of.
func Kinds() ([]string, error) { return folders(Dir()) }

// All reads all cases of a kind, sorted by name.
func All(kind string) (list []*Case, err error) {
	names, err := folders(filepath.Join(Dir(), kind))
	for _, name := range names {
		c, err := Read(kind, name)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("there is no case of kind %s", kind)
	}
	return list, err
}

// folders are those of a folder; _files, which cases share, is none of them.
func folders(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), "_") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// File reads a file of the case by its part; nil and no error where the case has no
// such part.
func (c *Case) File(part string) ([]byte, error) {
	name, ok := c.Files[part]
	if !ok {
		return nil, nil
	}
	return os.ReadFile(c.Path(name))
}

// Path is where a file of the case lies.
func (c *Case) Path(name string) string {
	return filepath.Join(Dir(), c.Kind, c.Name, filepath.FromSlash(name))
}

// Data reads a file of a case: kind, name and the file's own name.
func Data(t testing.TB, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{Dir()}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Check says what of a case can't be: above all a verifier that is to accept what
// fleetctl rejects.
func (c *Case) Check() error {
	var faults []error
	fault := func(format string, a ...any) {
		faults = append(faults, fmt.Errorf("%s/%s: "+format, append([]any{c.Kind, c.Name}, a...)...))
	}
	if c.What == "" || len(c.Files) == 0 {
		fault("says not what it is about, or has no files")
	}
	if !slices.Contains([]string{Accept, Reject, Alarm, Error}, c.Verdict) {
		fault("verdict is %q", c.Verdict)
	}
	if (c.Verdict == Accept) != (c.Reason == "" && c.Code == "") {
		fault("is to be answered by %q, for the reason %q", c.Verdict, c.Reason+c.Code)
	}
	if c.Go != c.Verdict {
		fault("fleetctl is to say %q and the verdict is %q", c.Go, c.Verdict)
	}
	for name, says := range map[string]string{"shell": c.Shell, "javascript": c.JavaScript} {
		if says != c.Verdict && says != NotChecked {
			fault("%s is to say %q: it is %q or %q", name, says, c.Verdict, NotChecked)
		}
	}
	return errors.Join(faults...)
}
