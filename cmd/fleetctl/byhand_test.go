//go:build cgo && unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

// specBlocks are the shell blocks of section 20 of docs/SPEC.md, in their order.
func specBlocks(t *testing.T) (blocks []string) {
	t.Helper()
	spec, err := os.ReadFile("../../docs/SPEC.md")
	check(t, err)
	_, rest, ok := strings.Cut(string(spec), "\n## 20 Checks by hand\n")
	section, _, ok2 := strings.Cut(rest, "\n## 21 ")
	if !ok || !ok2 {
		t.Fatal("docs/SPEC.md has no section 20")
	}
	for {
		_, after, found := strings.Cut(section, "```sh\n")
		block, more, closed := strings.Cut(after, "\n```\n")
		if !found || !closed {
			return blocks
		}
		blocks, section = append(blocks, block+"\n"), more
	}
}

// Every block of section 20 does what is said of it on a package that was made just now,
// in one shell, from top to bottom; and on a package in which a record was changed it
// doesn't.
func TestTheChecksByHandOfTheSpecificationHold(t *testing.T) {
	for _, tool := range []string{"bash", "jq", "xxd", "openssl", "ssh-keygen", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing, and CI must have it", tool)
			}
			t.Skipf("%s is missing", tool)
		}
	}
	r := newRig(t)
	dir := t.TempDir()
	out, err := r.command(dir, "demo", "--dir", "demo").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	blocks := specBlocks(t)
	if len(blocks) < 12 {
		t.Fatalf("section 20 has %d blocks", len(blocks))
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, b := range blocks {
		script.WriteString("echo '== block'\n" + b)
	}
	run := func() (string, error) {
		c := exec.Command("bash", "-c", script.String())
		c.Dir = filepath.Join(dir, "demo")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	got, err := run()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	for word, times := range map[string]int{
		"== block\n": len(blocks), "same\n": 2, "Signature Verified Successfully\n": 3, "Verified OK\n": 1,
		`Good "fleetctl-plan-rehearsal" signature`: 1, `Good "fleetctl-session-rehearsal" signature`: 1, `Good "fleetctl-signoff-rehearsal" signature`: 1,
	} {
		if n := strings.Count(got, word); n != times {
			t.Errorf("%q stands %d times in what they print, and not %d:\n%s", word, n, times, got)
		}
	}
	// What is printed in pairs to be compared is equal.
	for i, block := range strings.Split(got, "== block\n")[1:] {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		if strings.Contains(blocks[i], "ceremony.transcript") || strings.Contains(blocks[i], "sed -n 6p") {
			if len(lines) != 2 || lines[0] != lines[1] || lines[0] == "" {
				t.Errorf("these lines are not equal: %q", lines)
			}
		}
	}

	// With a byte of a record changed, and a MANIFEST and an archive that fit again.
	path := filepath.Join(dir, "demo", "evidence.tar")
	archive, err := os.ReadFile(path)
	check(t, err)
	files, err := evidence.Unpack("evidence.tar", archive)
	check(t, err)
	files["transcript.jsonl"] = bytes.Replace(files["transcript.jsonl"], []byte("SoftHSM project"), []byte("SoftHSM Project"), 1)
	files[evidence.ManifestFile] = files.Manifest()
	archive, err = evidence.Pack(files)
	check(t, err)
	check(t, os.WriteFile(path, archive, 0o600))
	check(t, os.RemoveAll(filepath.Join(dir, "demo", "pkg")))
	if got, err := run(); err == nil {
		t.Errorf("a changed record is not noticed:\n%s", got)
	}
}
