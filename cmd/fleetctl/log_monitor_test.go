//go:build cgo && unix

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// TestSplitOfARekorLogIsJudged: a Rekor log shows the monitor two histories;
// what it keeps of them convinces whoever pins the log, and nobody else.
func TestSplitOfARekorLogIsJudged(t *testing.T) {
	for version := 1; version <= 2; version++ {
		dir := aLife(t, "packed")
		ops := testrekor.Submitter("ops")
		log := testrekor.New(version, "rekor.test")
		policy := rekorPolicy(t, dir, log)
		bundle := filepath.Join(dir, "ceremony", "bundle.json")
		data, err := os.ReadFile(bundle)
		check(t, err)
		fork := log.Clone()
		log.Append(data, ops)
		fork.Add([]byte("another history"))
		fork.Add([]byte("goes on"))

		var shown atomic.Pointer[testrekor.Log]
		shown.Store(log)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { shown.Load().Handler().ServeHTTP(w, r) }))
		defer srv.Close()
		state := filepath.Join(dir, "seen")
		watch := func(more ...string) (int, string) {
			code, out, _ := runApp(append([]string{"log", "monitor", srv.URL, "--rekor-version", fmt.Sprint(version), "--policy", policy, "--bundles", bundle, "--state", state, "--once"}, more...)...)
			return code, out
		}
		if code, out := watch("--first"); code != cli.ExitDone || !strings.Contains(out, `"new":4,"ours":{"entries":1,"bundles":1}`) {
			t.Fatalf("v%d: exit code %d: %s", version, code, out)
		}
		shown.Store(fork)
		code, out := watch()
		line, _, _ := strings.Cut(out, "\n")
		var alarm struct{ Kind, Evidence string }
		if err := json.Unmarshal([]byte(line), &alarm); err != nil || code != cli.ExitAlarm || alarm.Kind != "split-view" {
			t.Fatalf("v%d: exit code %d: %s", version, code, out)
		}
		if code, out, _ := runApp("verify", alarm.Evidence, "--policy", policy, "--expect", "split-view"); code != cli.ExitDone || !strings.Contains(out, "SPLIT VIEW PROVEN") {
			t.Errorf("v%d: exit code %d: %s", version, code, out)
		}
		if code, out, _ := runApp("verify", alarm.Evidence, "--policy", policy); code != cli.ExitWrong || !strings.Contains(out, "SPLIT VIEW PROVEN") {
			t.Errorf("v%d: it passes for evidence: exit code %d: %s", version, code, out)
		}
		other := rekorPolicy(t, dir, testrekor.New(version, "rekor.other"))
		if code, out, _ := runApp("verify", alarm.Evidence, "--policy", other, "--expect", "split-view"); code != cli.ExitWrong || !strings.Contains(out, "NOT PROVEN") || !strings.Contains(out, "pins no log with the origin") {
			t.Errorf("v%d: by another's policy: exit code %d: %s", version, code, out)
		}
		if code, out, _ := runApp("show", alarm.Evidence); code != cli.ExitDone || !strings.Contains(out, "split view") {
			t.Errorf("v%d: exit code %d: %s", version, code, out)
		}
	}
}

// rekorPolicy is a life's policy with a Rekor log pinned.
func rekorPolicy(t *testing.T, dir string, log *testrekor.Log) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "policy.yaml"))
	check(t, err)
	block := fmt.Sprintf("\nrekor:\n  logs:\n    - {name: one, version: %d, origin: %s, key: %s, confirmed: by the test}\n  submitters:\n    - {name: ops, key: %s, confirmed: by the test}\nclaims:\n",
		log.Version, log.Host, base64.StdEncoding.EncodeToString(log.SPKI()), base64.StdEncoding.EncodeToString(testrekor.SPKI(testrekor.Submitter("ops"))))
	path := filepath.Join(dir, log.Host+".yaml")
	check(t, os.WriteFile(path, []byte(strings.Replace(string(text), "\nclaims:\n", block, 1)), 0o600))
	return path
}

// logFiles writes what goes between logs, witnesses and monitors, the same
// bytes each time, and gives the files' names.
func logFiles(t *testing.T, dir string) []string {
	t.Helper()
	log := testrekor.New(2, "log.example")
	request := func(c string) *auditlog.Request {
		head, err := auditlog.ParseCheckpoint("", []byte(c))
		check(t, err)
		return &auditlog.Request{Checkpoint: head}
	}
	first := request(log.Checkpoint())
	log.Add([]byte("one more"))
	r := request(log.Checkpoint())
	r.Old, r.Hashes = 3, [][32]byte{{1}, {2}, {3}}
	fork := log.Clone()
	for i := range 3 {
		fork.Add([]byte{byte(i)})
	}
	log.Add([]byte("another history"))
	here, there := request(log.Checkpoint()).Checkpoint, request(fork.Checkpoint()).Checkpoint
	files := map[string][]byte{
		"request": r.Marshal(), "first-request": first.Marshal(),
		"split":         (&auditlog.SplitView{Smaller: here, Larger: there, Root: [32]byte{7}, Hashes: [][32]byte{{1}, {2}}}).Marshal(),
		"same-size":     (&auditlog.SplitView{Smaller: here, Larger: here}).Marshal(),
		"not-yet-shown": (&auditlog.SplitView{Smaller: here, Larger: there}).Marshal(),
	}
	for name, data := range files {
		check(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return slices.Sorted(maps.Keys(files))
}
