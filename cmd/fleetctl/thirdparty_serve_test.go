package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty/service"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What one third party serves, another's fleetctl saves and checks.
func TestServeIsWhatHistoryReads(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	dir := t.TempDir()
	policy := filepath.Join(dir, "thirdparty.yaml")
	if err := os.WriteFile(policy, f.ThirdPartyPolicy(), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	key := base64.StdEncoding.EncodeToString(raw)

	r, w := io.Pipe()
	serve := func(ledger, listen string, more ...string) []string {
		return append([]string{"thirdparty", "serve", "--policy", policy, "--ledger", ledger, "--public-key", key, "--listen", listen, "--format", "json"}, more...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, strings.NewReader(""), w, io.Discard, serve(f.Parties.Ledger, "127.0.0.1:0"))
		w.Close()
	}()
	buf := make([]byte, 4096)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err, <-ended)
	}
	var at struct{ Listen string }
	if err := json.Unmarshal(buf[:n], &at); err != nil {
		t.Fatalf("%v: %s", err, buf[:n])
	}
	code, out, talk := runApp("history", "--url", at.Listen, "--namespace", testfleet.Namespace, "--save", filepath.Join(dir, "saved.jsonl"),
		"--key", "auditor="+key, "--operator", filepath.Join(f.Dir, "bundle.json"))
	if code != cli.ExitDone || !strings.Contains(out, "proven     operator-copy  1 checked") {
		t.Errorf("%d\n%s\n%s", code, out, talk)
	}
	cancel()
	if code := <-ended; code != cli.ExitDone {
		t.Errorf("it ended with %d", code)
	}
	if _, err := http.Get(at.Listen); err == nil {
		t.Error("it still serves")
	}
	for want, bad := range map[string][]string{
		"reachable from other machines": serve(f.Parties.Ledger, "0.0.0.0:0"),
		"--submit needs --queue":        serve(f.Parties.Ledger, "127.0.0.1:0", "--submit", "127.0.0.1:0"),
		"thirdparty.yaml":               serve(policy, "127.0.0.1:0"),
	} {
		if code, out, talk := runApp(bad...); code == cli.ExitDone || out != "" || !strings.Contains(talk, want) {
			t.Errorf("%q: %d\n%s\n%s", bad, code, out, talk)
		}
	}
}

func TestTheQueueIsListedAndRejected(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	dir := t.TempDir()
	name := testfleet.Namespace + "-0000000000000001.request.json"
	if err := os.WriteFile(filepath.Join(dir, name), f.Request.Raw(), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := runApp("thirdparty", "queue", dir, "--format", "json")
	if code != cli.ExitDone || !strings.Contains(out, `"epoch": 1`) {
		t.Errorf("%d %s", code, out)
	}
	code, out, talk := runApp("thirdparty", "queue", dir, "--reject", name)
	if code != cli.ExitDone || !strings.Contains(out, "nothing waits") {
		t.Errorf("%d %s %s", code, out, talk)
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "rejected", "*"+name)); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
	code, _, talk = runApp("thirdparty", "queue", dir, "--reject", name)
	if code != cli.ExitUsage || !strings.Contains(talk, name+": does not wait") {
		t.Errorf("rejected twice: %d %s", code, talk)
	}
	if list, err := service.List(dir); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if code, _, _ := runApp("thirdparty", "queue", filepath.Join(dir, "nowhere")); code != cli.ExitUsage {
		t.Error(code)
	}
}
