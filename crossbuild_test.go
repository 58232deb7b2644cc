package fleetctl_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// The verifier is the same program without cgo: it verifies, and says plainly
// what was left out of it. That it builds for other systems is scripts/test's.
func TestWithoutCgoItIsAVerifier(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "fleetctl-without-cgo.exe")
	build := exec.Command("go", "build", "-o", program, "./cmd/fleetctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if talk, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, talk)
	}
	f := testfleet.New(t, testfleet.Options{})
	archive, policy := filepath.Join(dir, "evidence.tar"), filepath.Join(dir, "policy.yaml")
	bad := bytes.Clone(f.Archive)
	bad[len(bad)/2] ^= 1
	site := &engine.Site{}
	for _, h := range f.Plan.HSMs {
		site.HSMs = append(site.HSMs, engine.SiteHSM{Name: h.Name, Module: "/m.so", Token: h.Name, PIN: "terminal"})
	}
	siteText, err := site.Write()
	if err != nil {
		t.Fatal(err)
	}
	plan, siteFile := filepath.Join(dir, "plan.yaml"), filepath.Join(dir, "site.yaml")
	for path, data := range map[string][]byte{plan: f.Plan.Raw(), siteFile: siteText, archive: f.Archive, policy: f.Policy, filepath.Join(dir, "bad.tar"): bad} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		talk, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(talk), cmd.ProcessState.ExitCode()
	}
	if talk, code := run("verify", archive, "--policy", policy); code != 0 {
		t.Errorf("verify: exit code %d\n%s", code, talk)
	}
	if talk, code := run("verify", "bad.tar", "--policy", policy); code != 1 {
		t.Errorf("verify of a changed package: exit code %d\n%s", code, talk)
	}
	for _, args := range [][]string{
		{"hsm", "list", "--module", "/usr/lib/softhsm/libsofthsm2.so"},
		{"ceremony", "run", plan, "--site", siteFile, "--dir", "log", "--unattended"},
		{"log", "init", "log"},
		{"log", "init", "log", "--origin", "log.example", "--key", "log.pem"},
	} {
		talk, code := run(args...)
		if code == 0 || !strings.Contains(talk, "is a verifier") && !strings.Contains(talk, "built without") {
			t.Errorf("%v: exit code %d, and not a plain word: %s", args, code, talk)
		}
		if _, err := os.Stat(filepath.Join(dir, "log")); err == nil {
			t.Errorf("%v: left something behind", args)
		}
	}
}
