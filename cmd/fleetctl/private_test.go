package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// secret stands in every private key of this test, and must stand in no answer.
const secret = "SeCrEtSeCrEtSeCrEtSeCrEtSeCrEtSe"

// TestAPrivateKeyGivenForAPublicOneIsNeitherShownNorUsed: a name completed one letter
// short gives the private key where the public one is wanted. Nothing of it may be on
// a screen, in a log or in a plan, whichever command it is.
func TestAPrivateKeyGivenForAPublicOneIsNeitherShownNorUsed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"ssh":  "-----BEGIN OPENSSH PRIVATE KEY-----\n" + secret + "\n-----END OPENSSH PRIVATE KEY-----\n",
		"pem":  "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n",
		"bags": "Bag Attributes\n    localKeyID: 01\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + secret + "\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"age":  "age-encryption.org/v1\n-> scrypt " + secret + " 18\n",
		"age2": "# created: today\nAGE-SECRET-KEY-1" + secret + "\n",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file := at(name)
		for _, args := range [][]string{
			{"thirdparty", "init", at("l"), "--public-key", file},
			{"thirdparty", "ledger", file, "--public-key", file},
			{"thirdparty", "guard", at("l"), "--public-key", file},
			{"thirdparty", "serve", "--policy", file, "--ledger", at("l"), "--public-key", file},
			{"history", file, "--key", "us=" + file},
			{"history", "follow", "http://127.0.0.1:1", "--namespace", "n", "--key", "us=" + file, "--state", at("s"), "--first", "--once"},
			{"plan", "new", "--mode", "rehearsal", "--fleet", "f", "--namespace", "n.v1", "--hsms", "1", "--log-policy", file, "--out", at("plan")},
			{"plan", "new", "--mode", "rehearsal", "--fleet", "f", "--namespace", "n.v1", "--hsms", "1", "--person", "officer:o=" + file, "--out", at("plan")},
			{"plan", "new", "--mode", "rehearsal", "--fleet", "f", "--namespace", "n.v1", "--hsms", "1", "--third-party", "p=" + file, "--out", at("plan")},
			{"plan", "new", "--mode", "rehearsal", "--fleet", "f", "--namespace", "n.v1", "--hsms", "1", "--countersigner", "c=" + file, "--out", at("plan")},
			{"plan", "check", file}, {"policy", "check", file}, {"show", file}, {"words", file},
			{"verify", file, "--policy", file}, {"log", "cosign", file, "--policy", file, "--witness-key", file, "--name", "w", "--out", at("out")},
			{"bundle", "diff", file, file}, {"log", "audit", "http://127.0.0.1:1", "--policy", file},
			{"thirdparty", "init", at("l"), "--public-key", strings.TrimSpace("-----BEGIN PRIVATE KEY-----\n" + secret)},
		} {
			code, out, talk := runApp(args...)
			if code == cli.ExitDone || strings.Contains(out+talk, secret[:8]) || !strings.Contains(talk, "is a private key") {
				t.Errorf("%s, %q: exit code %d\n%s%s", name, args, code, out, talk)
			}
		}
		if _, err := os.Stat(at("plan")); err == nil {
			t.Fatal("a plan was written")
		}
	}
}
