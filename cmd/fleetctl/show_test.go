//go:build cgo && unix

package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// everyFile are the files of a whole life, by path; no keys, tokens or PINs.
func everyFile(t testing.TB) map[string][]byte {
	t.Helper()
	dir := aLife(t, "packed")
	files := map[string][]byte{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(rel, "tokens") || strings.HasPrefix(rel, "pins") {
			return err
		}
		files[rel], err = os.ReadFile(path)
		return err
	}))
	return files
}

// kinds are what the files of a life are.
var kinds = map[string]string{
	"plan.yaml": "plan", "site.yaml": "site file", "policy.yaml": "verifier's policy", "thirdparty.yaml": "third party's policy",
	"ceremony/transcript.jsonl": "transcript", "ceremony/fleet-keys.json": "fleet key set", "ceremony/request-core.json": "request's core",
	"request.json": "request to third parties", "response.json": "third party's response", "ceremony/bundle.json": "validation bundle",
	"ceremony/bundle.json.tlog-proof": "log proof", "log/log/checkpoint": "checkpoint", "ledger.jsonl": "third party's ledger",
	"evidence.tar": "evidence package", "ceremony/plan-approvals/olga.sig": "SSH signature", "ceremony/signoffs/release/ada": "sign-off",
	"log.policy": "log policy", "operator.pub": "public key", "people/ada.pub": "public key", "plan-approvals/omar.sig": "SSH signature",
}

func TestShowKnowsEveryFile(t *testing.T) {
	files, dir := everyFile(t), t.TempDir()
	for path, kind := range kinds {
		data, ok := files[path]
		if !ok {
			t.Errorf("a life has no %s", path)
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(path))
		check(t, os.MkdirAll(filepath.Dir(file), 0o700))
		check(t, os.WriteFile(file, data, 0o600))
		var s struct {
			Kind, Next string
			Verified   bool
		}
		code, out, talk := runApp("show", file, "--format", "json")
		if err := json.Unmarshal([]byte(out), &s); code != cli.ExitDone || err != nil || s.Kind != kind {
			t.Errorf("%s: %v; it is %+v, want %s\n%s", path, err, s, kind, talk)
			continue
		}
		if s.Verified || !strings.Contains(s.Next, "fleetctl ") && !strings.Contains(s.Next, "ssh-keygen ") && kind != "public key" {
			t.Errorf("%s: verified %v, next %q", path, s.Verified, s.Next)
		}
	}
}

// TestShowNeverVerifiesNorBreaks cuts and spoils every file at many places:
// show explains it or names a fault with its file, and never ends otherwise.
func TestShowNeverVerifiesNorBreaks(t *testing.T) {
	dir := t.TempDir()
	shown, faults := 0, 0
	for path, data := range everyFile(t) {
		if _, ok := kinds[path]; !ok || len(data) > 1<<16 {
			continue
		}
		file := filepath.Join(dir, filepath.Base(path))
		for i := range 12 {
			for _, bad := range [][]byte{data[:len(data)*i/12], spoil(data, len(data)*i/12)} {
				check(t, os.WriteFile(file, bad, 0o600))
				code, out, talk := runApp("show", file)
				switch {
				case code == cli.ExitDone && strings.Contains(out, "\nnothing here was verified; next: ") && talk == "":
					shown++
				case code == cli.ExitWrong && out == "" && strings.Contains(talk, filepath.Base(path)):
					faults++
				default:
					t.Errorf("%s spoiled at %d/12: exit code %d\n%s\n%s", path, i, code, out, talk)
				}
				if code, out, _ := runApp("show", file, "--format", "json"); code == cli.ExitDone && !json.Valid([]byte(out)) {
					t.Errorf("%s spoiled at %d/12: not JSON: %s", path, i, out)
				}
			}
		}
		check(t, os.Remove(file))
	}
	if faults == 0 || shown == 0 {
		t.Errorf("%d explained, %d faults", shown, faults)
	}
	t.Logf("%d spoiled files explained, %d refused", shown, faults)
}

func spoil(data []byte, at int) []byte {
	bad := append([]byte{}, data...)
	if at < len(bad) {
		bad[at] ^= 0x11
	}
	return bad
}
