//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Whole ceremonies on other vendors' tokens, by the real program. What can't be
// installed here is skipped, and in CI only what CI can't have.

// absent skips, except in CI where a skip would hide that nothing was tested.
func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI must have it", what)
	}
	t.Skip(what)
}

// fleet makes tokens of another module, labelled vendor-1 and so on, and a plan
// for them that officers approved.
func (r *rig) fleet(dir, module string, hsms int, pin, soPIN string, role ...string) {
	r.t.Helper()
	so := filepath.Join(dir, "pins", "vendor-so")
	check(r.t, os.WriteFile(so, []byte(soPIN+"\n"), 0o600))
	for i := range hsms {
		label := fmt.Sprintf("vendor-%d", i+1)
		file := filepath.Join(dir, "pins", label)
		check(r.t, os.WriteFile(file, []byte(pin+"\n"), 0o600))
		args := []string{"hsm", "init", "--module", module, "--label", label, "--pin", "file:" + file, "--so-pin", "file:" + so}
		r.run(dir, append(args, r.which(dir, module)...)...)
	}
	for _, gone := range []string{"plan.yaml", "site.yaml", "policy.yaml", "plan-approvals"} {
		check(r.t, os.RemoveAll(filepath.Join(dir, gone)))
	}
	args := []string{"plan", "new", "--mode", "rehearsal", "--fleet", "backup", "--namespace", demoNamespace,
		"--from-tokens", "--module", module, "--label-prefix", "vendor-", "--hsms", fmt.Sprint(hsms), "--pin", "file:" + dir + "/pins/%s",
		"--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
		"--log-policy", "log.policy", "--out", "plan.yaml", "--site-out", "site.yaml"}
	for _, name := range role {
		args = append(args, "--role", name)
	}
	for _, p := range demoPeople {
		args = append(args, "--person", fmt.Sprintf("%s:%s=people/%s.pub", p.role, p.name, p.name))
	}
	r.run(dir, args...)
	r.run(dir, "policy", "new", "--plan", "plan.yaml", "--confirmed", "a test", "--out", "policy.yaml")
	for _, officer := range demoOfficers {
		r.run(dir, "plan", "approve", "plan.yaml", "--key", officer)
	}
}

// which names a token to initialise: an uninitialised one by its serial, where
// there are several; else the only one there is, which is erased.
func (r *rig) which(dir, module string) []string {
	r.t.Helper()
	n, err := strict.ParseJSON("tokens", r.run(dir, "hsm", "list", "--module", module, "--format", "json"), 1<<20)
	check(r.t, err)
	tokens := n.Get("tokens").Items
	for _, t := range tokens {
		if serial := t.Get("serial").Text; t.Get("state").Text == "not initialised" {
			if serial == "" {
				return nil
			}
			return []string{"--serial", serial}
		}
	}
	return []string{"--erase", tokens[0].Get("serial").Text}
}

// TestKryoptic runs on the Rust software token, PKCS#11 3.2: Ed25519, points
// without their OCTET STRING, 150 objects by which an empty token describes
// itself. Debian has no package of it: FLEETCTL_KRYOPTIC names its library.
func TestKryoptic(t *testing.T) {
	module := os.Getenv("FLEETCTL_KRYOPTIC")
	if module == "" {
		t.Skip("FLEETCTL_KRYOPTIC does not name kryoptic's library (crates.io, kryoptic 1.5.4)")
	}
	r := newRig(t)
	dir := r.world()
	conf := ""
	for i := range rigHSMs {
		conf += fmt.Sprintf("[[slots]]\nslot = %d\ndbtype = \"sqlite\"\ndbargs = \"%s/kryoptic-%d.sql\"\n", i+1, dir, i+1)
	}
	check(t, os.WriteFile(filepath.Join(dir, "kryoptic.conf"), []byte(conf), 0o600))
	r.env = append(r.env, "KRYOPTIC_CONF="+filepath.Join(dir, "kryoptic.conf"))
	r.fleet(dir, module, rigHSMs, "pin-of-vendor", "12345678")
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	plan, err := os.ReadFile(filepath.Join(dir, "plan.yaml"))
	check(t, err)
	if !bytes.Contains(plan, []byte("algorithm: ed25519")) {
		t.Errorf("no Ed25519 on kryoptic:\n%s", plan)
	}
	r.live(dir)
}

// swtpm starts a TPM in software with a token of tpm2-pkcs11.
func (r *rig) swtpm(dir string) (module string) {
	r.t.Helper()
	list, _ := filepath.Glob("/usr/lib/*/libtpm2_pkcs11.so.1")
	for _, program := range []string{"swtpm", "swtpm_setup"} {
		if _, err := exec.LookPath(program); err != nil {
			list = nil
		}
	}
	if len(list) == 0 {
		absent(r.t, "swtpm and tpm2-pkcs11 are not installed (apt-get install swtpm swtpm-tools libtpm2-pkcs11-1 libtss2-tcti-swtpm0)")
	}
	state := filepath.Join(dir, "tpm")
	check(r.t, os.MkdirAll(filepath.Join(state, "store"), 0o700))
	if out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", state, "--overwrite", "--ecc").CombinedOutput(); err != nil {
		r.t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	port := freePorts(r.t)
	tpm := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--flags", "not-need-init,startup-clear",
		"--server", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port), "--ctrl", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port+1))
	check(r.t, tpm.Start())
	r.t.Cleanup(func() {
		_ = tpm.Process.Kill()
		_ = tpm.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		// The control port tells that it is up, and takes any number of callers.
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("swtpm doesn't start: %v", err)
		}
	}
	r.env = append(r.env, fmt.Sprintf("TPM2_PKCS11_TCTI=swtpm:host=127.0.0.1,port=%d", port),
		"TPM2_PKCS11_STORE="+filepath.Join(state, "store"), "TPM2_PKCS11_LOG_LEVEL=0", "TSS2_LOG=all+none")
	return list[0]
}

// freePorts finds two ports in a row.
func freePorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		a.Close()
		if err == nil {
			b.Close()
			return port
		}
	}
	t.Fatal("no two ports in a row are free")
	return 0
}

// TestTPM2PKCS11IsRefused: the TPM keeps its keys, but the module keeps what it
// says of them in a file, and lets anybody who logs in write there that the key
// is extractable. That is refused by name, and the record of it verifies.
func TestTPM2PKCS11IsRefused(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	module := r.swtpm(dir)
	r.fleet(dir, module, 1, "pin-of-vendor", "12345678")
	out, err := r.start(dir).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("attempt relax-extractable succeeded")) || !bytes.Contains(out, []byte("the key was destroyed")) {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = r.command(dir, "verify", "ceremony", "--policy", "policy.yaml").CombinedOutput()
	if err == nil || !strings.Contains(strings.Join(strings.Fields(string(out)), " "), "the ceremony was aborted: generate hsm-1 session: hsm-1 session: attempt relax-extractable succeeded") {
		t.Errorf("the record doesn't say why: %v\n%s", err, out)
	}
}

// TestOpencryptoki has RSA-3072 keys, and a PIN that locks in earnest. Its daemon
// and its one token belong to the whole machine, so that it takes root.
func TestOpencryptoki(t *testing.T) {
	list, _ := filepath.Glob("/usr/lib/*/opencryptoki/libopencryptoki.so.0")
	daemon, err := exec.LookPath("pkcsslotd")
	if len(list) == 0 || err != nil {
		absent(t, "opencryptoki is not installed (apt-get install opencryptoki)")
	}
	if os.Geteuid() != 0 {
		t.Skip("opencryptoki's daemon wants root")
	}
	r := newRig(t)
	dir := r.world()
	for _, path := range []string{"/run/lock/opencryptoki/swtok", "/var/lib/opencryptoki/swtok/TOK_OBJ"} {
		check(t, os.MkdirAll(path, 0o770))
	}
	if exec.Command("pgrep", "-x", "pkcsslotd").Run() != nil {
		check(t, exec.Command(daemon).Run())
		t.Cleanup(func() {
			_ = exec.Command("sh", "-c", "kill $(cat /run/pkcsslotd.pid /var/run/pkcsslotd.pid 2>/dev/null | head -n 1)").Run()
		})
	}
	r.fleet(dir, list[0], 1, "1234abcd", "87654321", "session=rsa-3072")
	typed(t, dir, "vendor-1")
	k := atTerminal(t, r.start(dir))
	k.types("PIN of hsm-1", "wrong-1\n", "PIN of hsm-1", "wrong-2\n", "One try is left", "",
		"use the last try", "use the last try\n", "PIN of hsm-1", "1234abcd\n")
	if code := k.ends(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	want := []string{"hsm-1 terminal CKR_PIN_INCORRECT", "hsm-1 terminal CKR_PIN_INCORRECT", "hsm-1 terminal ok"}
	if got := unlocks(t, dir); !slices.Equal(got, want) {
		t.Errorf("the record has %q", got)
	}
	r.run(dir, "bundle", "build", "ceremony")

	// To the end: what is left is an abort that says so, and no wrong try more.
	dir = r.world()
	r.fleet(dir, list[0], 1, "1234abcd", "87654321", "session=rsa-3072")
	typed(t, dir, "vendor-1")
	k = atTerminal(t, r.start(dir))
	k.types("PIN of hsm-1", "wrong-1\n", "PIN of hsm-1", "wrong-2\n", "use the last try", "use the last try\n", "PIN of hsm-1", "wrong-3\n")
	if code := k.ends(); code != exitFailed || !strings.Contains(k.shown(), "the PIN is locked") {
		t.Errorf("exit code %d\n%s", code, k.shown())
	}
	if got := unlocks(t, dir); len(got) != 3 {
		t.Errorf("%d tries are on the record: %q", len(got), got)
	}
	k = atTerminal(t, r.start(dir))
	if code := k.ends(); code != exitFailed || strings.Contains(k.shown(), "PIN of hsm-1:") {
		t.Errorf("a locked token is tried: exit code %d\n%s", code, k.shown())
	}
	r.run(dir, "ceremony", "abort", "ceremony", "--site", "site.yaml", "--reason", "the PIN of hsm-1 is locked")
}
