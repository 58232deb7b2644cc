//go:build cgo && unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// serving is bundle serve as a command, by a clock that the test sets.
type serving struct {
	Listen, Metrics string
	Epoch           uint64
	stop            func() int
}

func serveBundle(t *testing.T, now time.Time, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		a := cli.New(strings.NewReader(""), w, io.Discard)
		a.Now = func() time.Time { return now }
		ended <- a.Run(ctx, root(a), append([]string{"bundle", "serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--format", "json"}, args...))
		w.Close()
	}()
	s := &serving{stop: func() int { cancel(); return <-ended }}
	if err := json.NewDecoder(out).Decode(s); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	return s
}

func fetched(t *testing.T, url string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, body
}

// A node hands out the files as they are, takes a newer proof while it runs, tells
// its operator, and ends when it is told to.
func TestBundleServeHandsOutWhatItsFilesHave(t *testing.T) {
	policy, err := deviceFile("policy.policy.json")
	check(t, err)
	newer, err := deviceFile("epoch-1.tlog-proof")
	check(t, err)
	dir := t.TempDir()
	check(t, writeLogged(dir, "epoch-1", "half-a-day-old"))
	check(t, os.WriteFile(filepath.Join(dir, "policy"), policy, 0o600))
	file := filepath.Join(dir, "bundle.json")
	raw, err := os.ReadFile(file)
	check(t, err)
	s := serveBundle(t, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), file, "--policy", filepath.Join(dir, "policy"), "--reread", "1s")
	var index struct{ Bundle, Proof struct{ SHA256 string } }
	read := func() {
		code, body := fetched(t, s.Listen+"/.well-known/fleetctl-bundle")
		if check(t, json.Unmarshal(body, &index)); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
	}
	read()
	if code, got := fetched(t, s.Listen+"/sha256/"+index.Bundle.SHA256); code != 200 || !bytes.Equal(got, raw) || s.Epoch != 1 {
		t.Errorf("%d, %d bytes", code, len(got))
	}
	first := index.Proof
	check(t, writeLogged(dir, "epoch-1", "epoch-1"))
	await.Until(t, "the newer proof is handed out", func() bool { read(); return index.Proof != first })
	if code, got := fetched(t, s.Listen+"/sha256/"+index.Proof.SHA256); code != 200 || !bytes.Equal(got, newer) {
		t.Errorf("%d: %s", code, got)
	}
	if code, got := fetched(t, s.Listen+"/healthz"); code != 200 || string(got) != `{"status":"ok"}` {
		t.Errorf("%d %s", code, got)
	}
	_, metrics := fetched(t, s.Metrics)
	for _, want := range []string{"# TYPE fleetctl_bundle_epoch gauge\n", "fleetctl_bundle_epoch 1\n", "# TYPE fleetctl_bundle_witnessed_age_seconds gauge\n", "fleetctl_bundle_witnessed_age_seconds 0\n", `fleetctl_http_requests_total{route="index",method="GET",code="200"}`, "fleetctl_healthy 1\n"} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("the metrics have no %s:\n%s", want, metrics)
		}
	}
	if code := s.stop(); code != cli.ExitDone {
		t.Errorf("it ends with %d", code)
	}
}
