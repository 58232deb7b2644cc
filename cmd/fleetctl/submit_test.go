//go:build cgo && unix

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/testauditor"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// Each wrong answer ends the command with its name, and the ceremony's record is what
// it was; what proves equivocation is recorded and kept.
func TestWrongAnswersToASubmissionAreNamedAndNotStored(t *testing.T) {
	const name = "submitted"
	// The fleet is run by the program that goes on with it: this one.
	is, err := session.Program()
	check(t, err)
	other := testfleet.Program
	testfleet.Program = is
	t.Cleanup(func() { testfleet.Program = other })
	f := testfleet.New(t, testfleet.Options{Name: name, HSMs: 1, To: testfleet.ToRequest})
	a := testauditor.Start(t, t.TempDir(), name, 1)
	seed := sha256.Sum256([]byte("testfleet key " + name + " third party"))
	pinned := ed25519.NewKeyFromSeed(seed[:])
	digest, ns := f.Request.Core.KeySet.Digest(), testfleet.Namespace
	transcript := filepath.Join(f.Dir, "transcript.jsonl")
	submit := func(more ...string) (int, string) {
		code, _, talk := runApp(append([]string{"bundle", "submit", f.Dir, "--url", a.URL, "--cert", a.Files.Client, "--cert-key", a.Files.ClientKey, "--server-ca", a.Files.CA}, more...)...)
		return code, talk
	}
	says := func(body []byte) {
		a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			w.Write(body)
			return true
		})
	}
	wrongKey := a.Statement(1, ns, 1, digest[:])
	a.Key = pinned
	good := a.Statement(1, ns, 1, digest[:])
	read := func() []byte {
		t.Helper()
		data, err := os.ReadFile(transcript)
		check(t, err)
		return data
	}
	before := read()
	for _, c := range []struct {
		name string
		body []byte
		want string
	}{
		{"wrong key", wrongKey, "verifies under none of the pinned keys"},
		{"wrong epoch", a.Statement(1, ns, 2, digest[:]), "auditor.example's statement is about epoch 2 of " + ns + "; epoch 1 of"},
		{"wrong namespace", a.Statement(1, ns+"x", 1, digest[:]), "is about epoch 1 of " + ns + "x; epoch 1 of"},
		{"other ciphersuite", a.Statement(2, ns, 1, digest[:]), "has ciphersuite 2; the plan says 1"},
		{"not JSON", []byte("<html>"), "/audits/1:1: "},
		{"duplicate members", bytes.Replace(good, []byte(`"epoch":1`), []byte(`"epoch":1,"epoch":1`), 1), `has "epoch" twice`},
		{"huge", append(bytes.Repeat([]byte(" "), 1<<20), good...), "answers with more than 4096 bytes"},
	} {
		says(c.body)
		for _, run := range []func() (int, string){func() (int, string) { return submit() }, func() (int, string) {
			code, _, talk := runApp("bundle", "import", f.Dir, "--url", a.URL, "--cert", a.Files.Client, "--cert-key", a.Files.ClientKey, "--server-ca", a.Files.CA)
			return code, talk
		}} {
			if code, talk := run(); code != cli.ExitWrong && c.name != "huge" || code == cli.ExitDone || !strings.Contains(talk, c.want) {
				t.Errorf("%s: exit code %d\n%s", c.name, code, talk)
			}
		}
		if !bytes.Equal(before, read()) {
			t.Fatalf("%s: the record has changed", c.name)
		}
	}
	says(a.Statement(1, ns, 1, make([]byte, 32)))
	code, talk := submit()
	kept, err := filepath.Glob(filepath.Join(f.Dir, "private", "submissions", "auditor.example-*.json"))
	check(t, err)
	if code != cli.ExitWrong || !strings.Contains(talk, "signed another artifact; it is on the record as refused") || len(kept) != 1 || !strings.Contains(strings.Join(strings.Fields(talk), ""), "itiskeptas"+kept[0]) {
		t.Errorf("equivocation: exit code %d, kept %q\n%s", code, kept, talk)
	}
	account, err := folder.Read(f.Dir)
	check(t, err)
	if len(account.Contradictions()) != 1 || len(account.Responses) != 0 {
		t.Errorf("%d contradictions", len(account.Contradictions()))
	}
	a.Misbehave(nil)
	a.Asked()
	if code, talk := submit(); code != cli.ExitDone || a.Asked() != "GET POST" {
		t.Errorf("the good answer after all: %d\n%s", code, talk)
	}
	if code, talk := submit("--url", "http://127.0.0.1:1"); code == cli.ExitDone || !strings.Contains(talk, fmt.Sprintf("it was submitted to %s before", a.URL)) {
		t.Errorf("elsewhere: %d\n%s", code, talk)
	}
}
