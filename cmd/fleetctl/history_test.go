package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
)

var historySigner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))

func historyStatement(t *testing.T, ns string, epoch uint64, what string) []byte {
	t.Helper()
	pub := [32]byte(historySigner.Public().(ed25519.PublicKey))
	s, err := bundle.NewStatement(bundle.Protobuf, ns, 1795255200000+epoch, epoch, sha256.Sum256([]byte(what)))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.Seal(pub, ed25519.Sign(historySigner, s.Message())); err != nil {
		t.Fatal(err)
	}
	return s.Raw()
}

func historyKeyFlag() string {
	return "auditor=" + hex.EncodeToString(historySigner.Public().(ed25519.PublicKey))
}

// A live auditor rewrites an epoch between two runs: caught, with both
// versions as evidence.
func TestHistoryCatchesAnAuditorThatRewrites(t *testing.T) {
	const ns = "meta.encrypted_backups.fleet_keys.v1"
	what, last := map[uint64]string{1: "a", 2: "b", 3: "c"}, 3
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var epoch uint64
		if r.URL.Path == "/namespaces/"+ns {
			fmt.Fprintf(w, `{"name":%q,"root":null,"last_verified_epoch":%d}`, ns, last)
			return
		}
		fmt.Sscanf(r.URL.Path, "/namespaces/"+ns+"/audits/%d", &epoch)
		w.Write(historyStatement(t, ns, epoch, what[epoch]))
	}))
	defer srv.Close()
	dir := t.TempDir()
	run := func(save string) (int, string, string) {
		return runApp("history", "--profile", "meta", "--url", srv.URL, "--rate", "1000", "--save", filepath.Join(dir, save),
			"--key", historyKeyFlag(), "--record", filepath.Join(dir, "seen"), "--plain")
	}
	code, out, talk := run("one.jsonl")
	if code != cli.ExitDone || !strings.Contains(talk, "3 new statements saved") || !strings.Contains(out, "VERIFIED") ||
		!strings.Contains(out, "the operator's formats are not public") {
		t.Fatalf("%d\n%s\n%s", code, out, talk)
	}
	last, what[4] = 4, "d"
	if code, out, talk = run("one.jsonl"); code != cli.ExitDone || !strings.Contains(talk, "1 new statement saved") {
		t.Fatalf("%d\n%s\n%s", code, out, talk)
	}
	what[2] = "rewritten"
	code, out, _ = run("two.jsonl")
	if code != cli.ExitWrong || !strings.Contains(strings.Join(strings.Fields(out), " "), "epoch 2: the statement of auditor is rewritten: an earlier run saw digest") {
		t.Fatalf("%d\n%s", code, out)
	}
	kept, err := os.ReadDir(filepath.Join(dir, "seen.evidence"))
	if err != nil || len(kept) != 2 {
		t.Fatalf("%v, %v", kept, err)
	}
	for _, k := range kept {
		code, _, _ := runApp("history", filepath.Join(dir, "seen.evidence", k.Name()), "--key", historyKeyFlag())
		if code != cli.ExitDone {
			t.Errorf("%s is not verified alone: %d", k.Name(), code)
		}
	}
	if code, out, _ = runApp("history", filepath.Join(dir, "seen.evidence"), "--key", historyKeyFlag()); code != cli.ExitWrong || !strings.Contains(out, "equivocation") {
		t.Errorf("%d\n%s", code, out)
	}
}

// The file of an earlier run is no reason to believe that nothing changed: what
// it has is asked for again.
func TestHistoryAsksALiveAuditorForItsPastAgain(t *testing.T) {
	const ns = "meta.encrypted_backups.fleet_keys.v1"
	what, last := map[uint64]string{1: "a", 2: "b", 3: "c"}, 3
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var epoch uint64
		if r.URL.Path == "/namespaces/"+ns {
			fmt.Fprintf(w, `{"name":%q,"root":null,"last_verified_epoch":%d}`, ns, last)
			return
		}
		fmt.Sscanf(r.URL.Path, "/namespaces/"+ns+"/audits/%d", &epoch)
		w.Write(historyStatement(t, ns, epoch, what[epoch]))
	}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "all.jsonl")
	run := func(more ...string) (int, string, string) {
		code, out, talk := runApp(append([]string{"history", "--profile", "meta", "--url", srv.URL, "--rate", "1000", "--save", file, "--key", historyKeyFlag(), "--plain"}, more...)...)
		return code, strings.Join(strings.Fields(out), " "), talk
	}
	if code, out, talk := run(); code != cli.ExitDone {
		t.Fatalf("%d\n%s\n%s", code, out, talk)
	}
	if code, out, talk := run(); code != cli.ExitDone || !strings.Contains(talk, "3 epochs of those saved before asked for again") || !strings.Contains(out, "unchanged 3 checked") {
		t.Fatalf("%d\n%s\n%s", code, out, talk)
	}
	last = 2
	if code, out, _ := run(); code != cli.ExitWrong || !strings.Contains(out, "epoch 3: the history got shorter: the auditor's newest epoch is now 2") {
		t.Errorf("%d\n%s", code, out)
	}
	// With the file of before lost, what the record saw is no shorter.
	lost, record := file, filepath.Join(filepath.Dir(file), "seen")
	last = 3
	if code, out, _ := run("--record", record); code != cli.ExitDone {
		t.Fatalf("%d\n%s", code, out)
	}
	for last = range 3 {
		file = fmt.Sprint(lost, last, ".jsonl")
		if code, out, _ := run("--record", record); code != cli.ExitWrong || !strings.Contains(out, fmt.Sprintf("epoch 3: the history got shorter: the auditor's newest epoch is now %d", last)) {
			t.Errorf("%d\n%s", code, out)
		}
	}
	file = lost
	last, what[2] = 3, "rewritten"
	if code, out, _ := run("--again"); code != cli.ExitWrong || !strings.Contains(out, "epoch 2: it is rewritten") || !strings.Contains(out, "signed two statements") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, talk := runApp("history", file, "--again", "--key", historyKeyFlag()); code != cli.ExitUsage || !strings.Contains(talk, "--again asks a live auditor") {
		t.Errorf("%d\n%s", code, talk)
	}
}
