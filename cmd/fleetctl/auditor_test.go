//go:build cgo && unix

package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/internal/testauditor"
)

// auditors are the scripts' stand-ins for Cloudflare's auditor, by folder.
var auditors sync.Map

// auditor CIPHERSUITE starts a stand-in for Cloudflare's auditor until the script ends,
// with its files in the folder auditor: AUDITOR is its address for owners, PUBLIC that
// for readers, AUDITOR_KEY its key in hex.
//
// auditor late has it answer the next submission with 202, and sign then;
// auditor contradicts has it sign another digest than the one submitted;
// auditor asked GET|POST… demands what it was asked since the last time.
func cmdAuditor(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs("auditor")
	if len(args) == 0 {
		ts.Fatalf("usage: auditor CIPHERSUITE | late | contradicts | asked WORDS")
	}
	if suite, err := strconv.ParseUint(args[0], 10, 32); err == nil {
		startAuditor(ts, dir, uint32(suite))
		return
	}
	x, ok := auditors.Load(dir)
	if !ok {
		ts.Fatalf("no auditor was started")
	}
	a := x.(*testauditor.Auditor)
	switch args[0] {
	case "late":
		a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			a.Misbehave(nil)
			if _, err := a.Publish(r); err != nil { // the owner has yet to learn of it
				panic(err)
			}
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusAccepted)
			return true
		})
	case "contradicts":
		a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			w.Write(a.Statement(a.Suite, ts.Getenv("NS"), 1, make([]byte, 32)))
			return true
		})
	case "asked":
		if got, want := a.Asked(), args[1]; got != want {
			ts.Fatalf("the auditor was asked %q, want %q", got, want)
		}
	default:
		ts.Fatalf("auditor: no %q", args[0])
	}
}

func startAuditor(ts *testscript.TestScript, dir string, suite uint32) {
	ts.Check(os.MkdirAll(dir, 0o700))
	a, stop, err := testauditor.Run(dir, ts.Name(), suite)
	ts.Check(err)
	auditors.Store(dir, a)
	ts.Defer(func() { auditors.Delete(dir); stop() })
	key := a.Key.Public().(ed25519.PublicKey)
	ts.Check(os.WriteFile(filepath.Join(dir, "key.pub"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	ts.Setenv("AUDITOR", a.URL)
	ts.Setenv("PUBLIC", a.Public)
	ts.Setenv("AUDITOR_KEY", fmt.Sprintf("%x", []byte(key)))
}

// plexiClient is Cloudflare's own client, where scripts/plexi has built it.
func plexiClient() string {
	if path := os.Getenv("FLEETCTL_PLEXI"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(cache, "fleetctl", "plexi-0.1.2", "bin", "plexi")
	if exec.Command(path, "--version").Run() != nil {
		return ""
	}
	return path
}
