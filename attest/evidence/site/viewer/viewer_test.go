// Package viewer_test runs the verifier in plain JavaScript beside the library's
// own: what it accepts, the library accepts.
package viewer_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// full says that everything is run, not a sample: scripts/test --full.
var full = os.Getenv("FLEETCTL_FULL") != ""

func sample(n, whole int) int {
	if full {
		return whole
	}
	return n
}

// node runs the verifier with a program of the tests, and gives what that printed
// as JSON. Where node is missing the test is skipped, but in CI.
func node(t *testing.T, program string, input, output any) {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("node is missing (Debian: nodejs), and in CI nothing is left out")
		}
		t.Skip("node is missing (Debian: nodejs): the verifier in JavaScript is not run")
	}
	in, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "testdata/run.js", program)
	cmd.Stdin = bytes.NewReader(in)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, talk.String())
	}
	if err := json.Unmarshal(out, output); err != nil {
		t.Fatalf("%v in %.300s", err, out)
	}
}

type claim struct {
	ID, Demanded, Grade, Why string
	OK                       *bool
}

// answer is what the verifier in JavaScript says, as api.js has it.
type answer struct {
	Accepted          bool
	Verdict           string
	Claims            []claim
	Problems          []struct{ Where, What string }
	NotChecked, Areas []string
	Milliseconds      float64
}

func TestWhatIsNoPackageIsNotAccepted(t *testing.T) {
	var got []answer
	node(t, "verify", []map[string]any{{"object": "package", "data": []byte("no tar"), "policy": []byte("no policy"), "time": "2026-11-21T10:00:00Z"}}, &got)
	if len(got) != 1 || got[0].Accepted || len(got[0].Problems) == 0 {
		t.Errorf("%+v", got)
	}
}

// A line of 400 kB is read in milliseconds; an expression that tries each way to split it
// takes minutes.
func TestALongScalarIsReadOnce(t *testing.T) {
	for _, long := range []string{strings.Repeat("1", 400_000) + "x", "a" + strings.Repeat(" ", 400_000) + "b"} {
		var got []answer
		node(t, "verify", []map[string]any{{"object": "package", "data": []byte("no tar"), "policy": []byte("format: " + long + "\n"), "time": "2026-11-21T10:00:00Z"}}, &got)
		if len(got) != 1 || got[0].Accepted || got[0].Milliseconds > 10_000 {
			t.Errorf("%.10s: %.300v", long, got)
		}
	}
}

// A page includes the files in any order, from file:// too: none is a module, and
// none reaches anything.
func TestTheScriptsAreClassicAndReachNothing(t *testing.T) {
	files, err := filepath.Glob("*.js")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"\nimport ", "\nexport ", "import(", "eval(", "Function(", "fetch(", "XMLHttpRequest", "WebSocket", "localStorage", "innerHTML", "document.", "require(", "Date.now", "new Date()", "Math.random", "JSON.parse("} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s has %q", f, word)
			}
		}
		if n := bytes.Count(text, []byte("\n")); n > 500 {
			t.Errorf("%s has %d lines; 500 are allowed", f, n)
		}
	}
}
