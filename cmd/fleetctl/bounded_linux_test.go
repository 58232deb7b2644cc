//go:build cgo

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

// endless is a pipe that says the same for ever.
type endless struct{ text []byte }

func (e endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); n += copy(p[n:], e.text) {
	}
	return len(p), nil
}

// The program itself, whatever comes out of a pipe: what verify spends is within
// SPEC 1.3's bounds, and an input without an end is refused by its size.
func TestAPipeCantMakeVerifySpendMoreThanItMay(t *testing.T) {
	archive, err := evidence.Pack(evidence.Files{"a": nil})
	check(t, err)
	for name, c := range map[string]struct {
		in   io.Reader
		want string
	}{
		"without an end":         {endless{[]byte(`{"prev":"` + "\n")}, "has more than the 67108864 bytes that are allowed"},
		"zeros":                  {io.LimitReader(endless{[]byte{0}}, evidence.MaxPackage), "is nothing that can be verified"},
		"lists":                  {io.LimitReader(endless{[]byte("[0,")}, evidence.MaxPackage), "is nothing that can be verified"},
		"a tar's header again":   {io.LimitReader(endless{archive[:512]}, evidence.MaxPackage), `has "a" twice`},
		"a transcript of braces": {io.LimitReader(endless{[]byte(`{"prev":1}` + "\n")}, evidence.MaxPackage), "can't be followed without the plan"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			policy := filepath.Join(dir, "policy.yaml")
			check(t, os.WriteFile(policy, []byte("format: fleetctl policy v1\nmode: rehearsal\nnamespaces: [rehearsal.x]\nthird_parties:\n  - name: a\n    key: "+
				"Tkjvv8Weh3hgWXSdBLbk2cuB9rGd5tOE7HY4GhEA8S0=\nthird_parties_needed: 1\nclaims:\n  statement.signed: proven\n"), 0o600))
			cmd := exec.Command("fleetctl", "verify", "-", "--policy", policy)
			var out bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, &out, &out
			if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
				t.Fatalf("%v: %s", err, out.String())
			}
			if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), c.want) {
				t.Errorf("says %s; want %s", out.String(), c.want)
			}
			if spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); spent > 2*time.Second {
				t.Errorf("takes %v of processor time", spent)
			}
		})
	}
}
