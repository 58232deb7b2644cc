package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mutant is one change of one operator.
type mutant struct {
	Package string // as go test takes it: ./ceremony
	File    string // from the module's root
	Kind    string // gremlins' name of the change
	Line    int
	Column  int // in bytes, from 1
}

func (m mutant) key() string { return fmt.Sprintf("%s:%06d:%04d:%s", m.File, m.Line, m.Column, m.Kind) }

func (m mutant) String() string { return fmt.Sprintf("%s:%d:%d %s", m.File, m.Line, m.Column, m.Kind) }

// readList reads what gremlins found: for each package a line with its name, then
// gremlins' own JSON on a line.
func readList(r io.Reader) (list []mutant, err error) {
	d := json.NewDecoder(r)
	for {
		var p struct {
			Package string `json:"package"`
			Found   struct {
				Files []struct {
					Name      string `json:"file_name"`
					Mutations []struct {
						Type   string `json:"type"`
						Line   int    `json:"line"`
						Column int    `json:"column"`
					} `json:"mutations"`
				} `json:"files"`
			} `json:"found"`
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("gremlins' list: %w", err)
		}
		for _, f := range p.Found.Files {
			if strings.Contains(f.Name, "/") {
				continue // of a package below, which is listed where it is asked for
			}
			for _, x := range f.Mutations {
				list = append(list, mutant{p.Package, filepath.Join(p.Package, f.Name), x.Type, x.Line, x.Column})
			}
		}
	}
}

// changes are gremlins' (0.6.0), each operator and what takes its place.
var changes = map[string]map[string]string{
	"ARITHMETIC_BASE":       {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"},
	"CONDITIONALS_BOUNDARY": {">=": ">", "<=": "<", ">": ">=", "<": "<="},
	"CONDITIONALS_NEGATION": {"==": "!=", "!=": "==", "<=": ">", ">=": "<", "<": ">=", ">": "<="},
	"INCREMENT_DECREMENT":   {"++": "--", "--": "++"},
	"INVERT_LOGICAL":        {"&&": "||", "||": "&&"},
	"INVERT_NEGATIVES":      {"-": "+"},
}

// apply gives the file with the change in it.
func (m mutant) apply(data []byte) ([]byte, error) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	if m.Line < 1 || m.Line > len(lines) || m.Column < 1 || m.Column > len(lines[m.Line-1]) {
		return nil, errors.New("the file has no such place")
	}
	line := lines[m.Line-1]
	rest := line[m.Column-1:]
	for _, n := range []int{2, 1} { // the longer operator first
		if len(rest) < n {
			continue
		}
		if to, ok := changes[m.Kind][string(rest[:n])]; ok {
			lines[m.Line-1] = slices.Concat(line[:m.Column-1], []byte(to), rest[n:])
			return bytes.Join(lines, nil), nil
		}
	}
	return nil, fmt.Errorf("no operator that %s changes stands there", m.Kind)
}

type result string

const (
	killed   result = "killed"
	endless  result = "endless" // no end within the time that the tests have: noticed too
	survived result = "SURVIVED"
	invalid  result = "invalid"
)

// above are the packages whose tests judge by a package's rules too, the quickest
// first.
var above = map[string][]string{
	"./internal/keys":     {"./internal/sshsig", "./bundle", "./attest/evidence"},
	"./internal/sshsig":   {"./ceremony", "./attest/evidence"},
	"./auditlog":          {"./bundle", "./attest/evidence"},
	"./attest":            {"./attest/..."},
	"./bundle":            {"./bundle/thirdparty", "./attest/evidence"},
	"./ceremony":          {"./ceremony/folder", "./bundle/thirdparty", "./ceremony/engine", "./attest/evidence"},
	"./attest/evidence":   {"./attest/evidence/entries"},
	"./bundle/thirdparty": {},
}

// tester runs tests.
type tester struct{ timeout time.Duration }

// try runs the tests with the change, and stops at the first that fails.
func (t tester) try(ctx context.Context, tmp string, m mutant) (result, string) {
	data, err := os.ReadFile(m.File)
	if err == nil {
		data, err = m.apply(data)
	}
	if err != nil {
		return invalid, ": " + err.Error()
	}
	overlay, err := m.overlay(tmp, data)
	if err != nil {
		return invalid, ": " + err.Error()
	}
	for _, p := range append([]string{m.Package}, above[m.Package]...) {
		if r, what := t.test(ctx, overlay, p); r != survived {
			return r, what
		}
	}
	return survived, ""
}

// overlay writes the changed file and the list that go test lays over the module.
func (m mutant) overlay(tmp string, data []byte) (string, error) {
	dir, err := os.MkdirTemp(tmp, "")
	if err != nil {
		return "", err
	}
	file, err := filepath.Abs(m.File)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, filepath.Base(m.File))
	if err := os.WriteFile(changed, data, 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}

func (t tester) test(ctx context.Context, overlay, packages string) (result, string) {
	args := []string{"test", "-short", "-failfast", "-vet=off", "-timeout=" + t.timeout.String(), "-overlay=" + overlay, packages}
	c := exec.CommandContext(ctx, "go", args...)
	c.WaitDelay = 5 * time.Second
	out, err := c.CombinedOutput()
	switch {
	case err == nil:
		return survived, ""
	case bytes.Contains(out, []byte("[build failed]")):
		return invalid, ": it does not compile"
	case bytes.Contains(out, []byte("panic: test timed out")):
		return endless, ""
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return killed, " by " + name
		}
	}
	return killed, ""
}
