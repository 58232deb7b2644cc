//go:build cgo && unix

package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/ui"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Digests and times differ from life to life; their places on the screen don't.
var changing = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\b[0-9a-f]{4}( [0-9a-f]{4}){3}\b`), "dddd dddd dddd dddd"},
	{regexp.MustCompile(`\b[0-9a-f]{8}…`), "dddddddd…"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d\d\d)?Z`), "2026-11-21T10:00:00Z"},
	{regexp.MustCompile(`\b[\d.]+ kB\b`), "99 kB"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d to (20\d\d-\d\d-\d\d )?\d\d:\d\d UTC, \d+ (seconds?|min)`), "2026-11-21 10:00 to 10:00 UTC, 1 second"},
}

func steady(s string) string {
	for _, c := range changing {
		s = c.re.ReplaceAllString(s, c.by)
	}
	return s
}

// screenOf is what a command prints at a width.
func screenOf(t *testing.T, dir string, o ui.Options, args ...string) string {
	t.Helper()
	t.Chdir(dir)
	var out, talk bytes.Buffer
	a := cli.New(strings.NewReader(""), &out, &talk)
	a.Screen = o
	args = append(args, fmt.Sprintf("--plain=%t", o.Plain), "--color", cmp.Or(o.Color, "auto"))
	a.Run(t.Context(), root(a), args)
	return steady(out.String() + talk.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(testdataDir, "golden", name)
	if *update {
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	check(t, err)
	if got != string(want) {
		t.Errorf("%s differs; go test -run %s -update writes it anew\n--- got\n%s\n--- want\n%s", name, t.Name(), got, want)
	}
}

var testdataDir = func() string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		panic(err)
	}
	return dir
}()

// TestScreens holds the screens that people judge by: the report, both
// outcomes, and show, at two widths, plain and without colour.
func TestScreens(t *testing.T) {
	dir := aLife(t, "packed")
	env := func(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }
	at := "2040-01-01T00:00:00Z" // after the life, which is of today
	screens := map[string][]string{
		"verified":     {"verify", "evidence.tar", "--policy", "policy.yaml", "--time", at},
		"not-verified": {"verify", "response.json", "--policy", "policy.yaml", "--time", at},
		"bundle":       {"verify", "ceremony/bundle.json", "--policy", "policy.yaml", "--time", at},
		"wrong":        {"verify", "spoiled", "--policy", "policy.yaml", "--time", at},
		"explain":      {"verify", "evidence.tar", "--policy", "policy.yaml", "--time", at, "--explain", "key.agreement"},
	}
	for _, path := range logFiles(t, dir) {
		screens["show-"+path] = []string{"show", path}
	}
	check(t, copyTree(filepath.Join(dir, "ceremony"), filepath.Join(dir, "spoiled")))
	check(t, os.RemoveAll(filepath.Join(dir, "spoiled", "private")))
	check(t, os.WriteFile(filepath.Join(dir, "spoiled", "fleet-keys.json"), []byte("{}\n"), 0o600))
	for name, args := range screens {
		for _, width := range []int{80, 120} {
			for look, o := range map[string]ui.Options{
				"plain":    {Plain: true, Env: env(nil)},
				"no-color": {Env: env(map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"})},
			} {
				o.Width = width
				got := screenOf(t, dir, o, args...)
				if strings.Contains(got, "\x1b") {
					t.Errorf("%s at %d, %s: has an escape sequence", name, width, look)
				}
				for line := range strings.Lines(got) {
					if n := len([]rune(strings.TrimRight(line, "\n"))); n > width && !strings.Contains(line, "next: ") && !strings.HasPrefix(line, "  $ ") {
						t.Errorf("%s at %d, %s: a line of %d columns: %s", name, width, look, n, line)
					}
				}
				golden(t, fmt.Sprintf("%s-%d-%s.txt", name, width, look), got)
			}
		}
	}
	colour := screenOf(t, dir, ui.Options{Color: "always", Width: 80, Env: env(nil)}, screens["verified"]...)
	bare := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colour, "")
	if want := screenOf(t, dir, ui.Options{Width: 80, Env: env(nil)}, screens["verified"]...); steady(bare) != want || colour == bare {
		t.Errorf("colour changes words, or there is none:\n%q\n%q", bare, want)
	}
}
