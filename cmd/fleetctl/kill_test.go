//go:build cgo && unix

package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAKilledCeremonyIsResumed kills a ceremony of three HSMs right after each
// of its records has reached the disk, resumes it, kills it again, and demands
// that it ends with the same fleet check: no key orphaned, none used twice.
// All records with FLEETCTL_FULL=1, a seeded sample otherwise.
func TestAKilledCeremonyIsResumed(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	k := newKillRig(t)
	total := k.records()
	var at []int
	for n := 1; n < total; n++ {
		at = append(at, n)
	}
	if os.Getenv("FLEETCTL_FULL") != "1" {
		rand.New(rand.NewSource(3)).Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
		at = at[:5]
	}
	again := 0
	for _, n := range at {
		again += k.killAndResume(n)
	}
	t.Logf("%d records a ceremony; killed after %d of them, resumed %d times; every one ended with its fleet check, no key lost", total, len(at), again)
}

// killRig is a fleet's tokens as they were before the ceremony, copied for
// every run.
type killRig struct {
	t             *testing.T
	binary, fresh string // the program, and a demo's directory
}

func newKillRig(t *testing.T) *killRig {
	t.Helper()
	needSoftHSM(t)
	k := &killRig{t: t, binary: filepath.Join(t.TempDir(), "fleetctl"), fresh: filepath.Join(t.TempDir(), "fresh")}
	if out, err := exec.Command("go", "build", "-o", k.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	// The demo makes everything; its ceremony is left out by taking the tokens
	// from before it, so the fleet's own are erased again.
	if out, err := exec.Command(k.binary, "demo", "--dir", k.fresh, "--hsms", "3").CombinedOutput(); err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	return k
}

// world makes a copy of the demo's directory with empty tokens and a plan that
// names them, and gives the ceremony's folder.
func (k *killRig) world() string {
	dir := filepath.Join(k.t.TempDir(), "w")
	k.must(exec.Command("cp", "-r", k.fresh, dir))
	conf := fmt.Sprintf(softHSMConf, dir)
	if err := os.WriteFile(filepath.Join(dir, "softhsm2.conf"), []byte(conf), 0o600); err != nil {
		k.t.Fatal(err)
	}
	for _, gone := range []string{"tokens", "ceremony", "plan.yaml", "site.yaml", "plan-approvals"} {
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			k.t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		k.t.Fatal(err)
	}
	pin := func(name string) string { return "file:" + filepath.Join(dir, "pins", name) }
	args := []string{"plan", "new", "--mode", "rehearsal", "--fleet", "backup-demo", "--namespace", demoNamespace,
		"--from-tokens", "--module", modulePath(), "--label-prefix", "fleet-", "--hsms", "3", "--pin", pin("%s")}
	for _, p := range demoPeople {
		args = append(args, "--person", fmt.Sprintf("%s:%s=people/%s.pub", p.role, p.name, p.name))
	}
	args = append(args, "--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
		"--log-policy", "log.policy", "--out", "plan.yaml", "--site-out", "site.yaml")
	for i := 1; i <= 3; i++ {
		label := fmt.Sprintf("fleet-%d", i)
		k.run(dir, "hsm", "init", "--module", modulePath(), "--label", label, "--pin", pin(label), "--so-pin", pin("security-officer"))
	}
	k.run(dir, args...)
	for _, officer := range demoOfficers {
		k.run(dir, "plan", "approve", "plan.yaml", "--key", officer)
	}
	return dir
}

func (k *killRig) must(cmd *exec.Cmd) []byte {
	k.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		k.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

func (k *killRig) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(k.binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "softhsm2.conf"))
	return cmd
}

func (k *killRig) run(dir string, args ...string) []byte { return k.must(k.command(dir, args...)) }

// start is the ceremony's command: run, or resume once an HSM was unlocked.
func (k *killRig) start(dir string, resume bool) *exec.Cmd {
	args := with("ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--unattended")
	if resume {
		args = with("ceremony", "resume", "ceremony", "--site", "site.yaml", "--unattended")
	}
	return k.command(dir, args...)
}

func lines(dir string) int {
	data, _ := os.ReadFile(filepath.Join(dir, "ceremony", "transcript.jsonl"))
	return bytes.Count(data, []byte("\n"))
}

// records counts those of an undisturbed run.
func (k *killRig) records() int {
	dir := k.world()
	k.must(k.start(dir, false))
	return lines(dir)
}

// killAndResume kills the run after its n-th record, then each resumption a
// little later, until one is left to end. It gives the number of resumptions.
func (k *killRig) killAndResume(n int) (resumed int) {
	k.t.Helper()
	dir := k.world()
	cmd := k.start(dir, false)
	k.killAfter(cmd, dir, n)
	for range 3 {
		next := k.start(dir, k.unlocked(dir))
		resumed++
		if resumed < 3 {
			k.killAfter(next, dir, lines(dir)+2)
			continue
		}
		k.must(next)
	}
	k.wholeFleet(dir, n)
	return resumed
}

// unlocked says that the ceremony has to be resumed rather than run again.
func (k *killRig) unlocked(dir string) bool {
	data, _ := os.ReadFile(filepath.Join(dir, "ceremony", "transcript.jsonl"))
	return bytes.Contains(data, []byte(`"kind":"unlock"`))
}

func (k *killRig) killAfter(cmd *exec.Cmd, dir string, n int) {
	k.t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	deadline := time.After(30 * time.Second)
	for lines(dir) < n {
		select {
		case err := <-done:
			if err != nil {
				k.t.Fatalf("ended before it could be killed: %v\n%s", err, out.String())
			}
			return // it was done before there were n records
		case <-deadline:
			k.t.Fatalf("no record %d within 30 s\n%s", n, out.String())
		default:
			time.Sleep(200 * time.Microsecond)
		}
	}
	_ = cmd.Process.Kill()
	<-done
}

// wholeFleet demands that the fleet check was passed and that each token holds
// exactly the one key pair that the transcript tells of.
func (k *killRig) wholeFleet(dir string, n int) {
	k.t.Helper()
	out := k.run(dir, "ceremony", "status", "ceremony", "--format", "json")
	if !bytes.Contains(out, []byte(`"next": "release"`)) {
		k.t.Fatalf("killed after record %d: it did not come to its release:\n%s", n, out)
	}
	k.run(dir, "bundle", "build", "ceremony")
	objects, err := filepath.Glob(filepath.Join(dir, "tokens", "*", "*.object"))
	if err != nil {
		k.t.Fatal(err)
	}
	if want := 3 * (1 + 2); len(objects) != want { // the token's own, and a key pair
		k.t.Fatalf("killed after record %d: the tokens hold %d objects, not %d: a key was orphaned", n, len(objects), want)
	}
}
