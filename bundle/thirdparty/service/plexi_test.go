package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// plexi finds Cloudflare's own client, version 0.1.2.
func plexi(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FLEETCTL_PLEXI")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		path = filepath.Join(cache, "fleetctl", "plexi-0.1.2", "bin", "plexi")
		if _, err := os.Stat(path); err != nil {
			t.Skip("Cloudflare's client is not here: scripts/plexi builds it, FLEETCTL_PLEXI names another")
		}
	}
	if out, err := exec.Command(path, "--version").Output(); err != nil || string(out) != "plexi 0.1.2\n" {
		t.Fatalf("%s --version: %q, %v", path, out, err)
	}
	return path
}

// Cloudflare's own client takes the service for an auditor. It exits 0 even
// where verification fails: its words count.
func TestCloudflaresClientAcceptsIt(t *testing.T) {
	bin := plexi(t)
	for _, suite := range []uint32{1, 2} {
		f := testfleet.New(t, testfleet.Options{Name: fmt.Sprint("plexi-", suite), Ciphersuite: suite, To: testfleet.ToLogged})
		srv := serve(t, f, Config{Namespaces: []string{"rehearsal.empty"}})
		run := func(args ...string) string {
			cmd := exec.Command(bin, args...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NO_PROXY=127.0.0.1"}
			var talk strings.Builder
			cmd.Stderr = &talk
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("plexi %s: %v\n%s", strings.Join(args, " "), err, talk.String())
			}
			return strings.Trim(string(out), ".\n") // its dots say that it works
		}
		if got := run("ls", "--remote-url", srv.URL); got != ns+"\nrehearsal.empty" {
			t.Errorf("ls: %q", got)
		}
		got := run("ls", "--remote-url", srv.URL, "--namespace", ns, "--long")
		for _, want := range []string{"Online", map[uint32]string{1: "ed25519(protobuf)", 2: "ed25519(bincode)"}[suite], "Directory  : -", fmt.Sprintf("1/%x", f.Response.Statement.Digest)} {
			if !strings.Contains(got, want) {
				t.Errorf("ls --long lacks %q:\n%s", want, got)
			}
		}
		// The newest epoch, with the key from /info; then a given one.
		for _, args := range [][]string{{}, {"--epoch", "1"}, {"--epoch", "1", "--verifying-key", fmt.Sprintf("%x", keyOf(f))}} {
			if got := run(append([]string{"audit", "--remote-url", srv.URL, "--namespace", ns}, args...)...); got != "success" {
				t.Errorf("audit %v: %q", args, got)
			}
		}
		if got := run("audit", "--remote-url", srv.URL, "--namespace", ns, "--verifying-key", strings.Repeat("01", 32)); got != "failed - signature does not verify for the auditor key" {
			t.Errorf("audit with another key: %q", got)
		}
		file := filepath.Join(t.TempDir(), "statement.json")
		if err := os.WriteFile(file, f.Response.Statement.Raw(), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := run("local-audit", "--verifying-key", fmt.Sprintf("%x", keyOf(f)), file); got != "success" {
			t.Errorf("local-audit: %q", got)
		}
		got = run("local-audit", "--long", "--verifying-key", fmt.Sprintf("%x", keyOf(f)), file)
		if !strings.Contains(got, "Signature verification: success") || !strings.Contains(got, "Proof verification    : -") {
			t.Errorf("local-audit --long:\n%s", got)
		}
	}
}
