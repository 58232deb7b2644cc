package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// TestVerifyGivesEveryChainsVerdict: the command says of every hostile chain what the
// library does, by its exit code and as JSON, and an alarm has its own code.
func TestVerifyGivesEveryChainsVerdict(t *testing.T) {
	dir := "../../attest/evidence/epochs/testdata/hostile"
	expect, err := os.ReadFile(filepath.Join(dir, "EXPECT"))
	if err != nil {
		t.Fatal(err)
	}
	codes := map[int]int{}
	for line := range strings.Lines(string(expect)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[5] == "" { // no object: the command wants one
			continue
		}
		args := []string{"verify"}
		for _, name := range strings.Fields(f[5]) {
			args = append(args, filepath.Join(dir, name))
		}
		want := "epochs"
		if f[4] != "-" {
			want = f[4]
			if len(args) == 2 {
				t.Fatalf("%s: one object, and %s", f[0], want)
			}
		}
		args = append(args, "--policy", filepath.Join(dir, f[2]), "--time", f[1], "--from", f[3], "--expect", want, "--format", "json")
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.NewReader(""), &stdout, &stderr, args)
		var r struct {
			Verified bool
			Problems []struct{ Alarm bool }
		}
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v\n%s", f[0], err, stderr.Bytes())
		}
		is := cli.ExitDone
		if !r.Verified {
			is = cli.ExitWrong
		}
		if slices.ContainsFunc(r.Problems, func(p struct{ Alarm bool }) bool { return p.Alarm }) {
			is = cli.ExitAlarm
		}
		if r.Verified != (f[6] == "verified") || code != is {
			t.Errorf("%s: verified %t, exit code %d, want %s and %d\n%s", f[0], r.Verified, code, f[6], is, stdout.Bytes())
		}
		codes[code]++
	}
	if codes[cli.ExitDone] == 0 || codes[cli.ExitWrong] == 0 || codes[cli.ExitAlarm] == 0 {
		t.Errorf("exit codes %v: nothing is told apart", codes)
	}
}
