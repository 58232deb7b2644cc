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
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
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
	r.planned(dir, module, hsms, pin, soPIN, role...)
	r.approved(dir)
}

// planned is fleet up to the plan.
func (r *rig) planned(dir, module string, hsms int, pin, soPIN string, role ...string) {
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
	args := []string{"plan", "new", "--mode", "rehearsal", "--fleet", "backup", "--namespace", demo.Namespace,
		"--from-tokens", "--module", module, "--label-prefix", "vendor-", "--hsms", fmt.Sprint(hsms), "--pin", "file:" + dir + "/pins/%s",
		"--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
		"--log-policy", "log.policy", "--out", "plan.yaml", "--site-out", "site.yaml"}
	for _, name := range role {
		args = append(args, "--role", name)
	}
	args = append(args, r.more["plan new"]...)
	for _, p := range demo.People {
		args = append(args, "--person", fmt.Sprintf("%s:%s=people/%s.pub", p.Role, p.Name, p.Name))
	}
	r.run(dir, args...)
}

// tolerant has the plan tolerate that a key can be made weaker.
func tolerant(t testing.TB, dir string) {
	t.Helper()
	file := filepath.Join(dir, "plan.yaml")
	plan, err := os.ReadFile(file)
	check(t, err)
	lines := strings.Split(string(plan), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "    serial: ") })
	check(t, os.WriteFile(file, []byte(strings.Join(slices.Insert(lines, at+1, "    tolerates: [relax-extractable, relax-sensitive]"), "\n")), 0o644))
}

// approved is the rest of fleet: a policy of the plan, and its approvals.
func (r *rig) approved(dir string, policy ...string) {
	r.t.Helper()
	r.run(dir, append([]string{"policy", "new", "--plan", "plan.yaml", "--confirmed", "a test", "--out", "policy.yaml"}, policy...)...)
	for _, officer := range demo.Officers {
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

// swtpm starts a TPM in software and its resource manager, for a token of
// tpm2-pkcs11.
func (r *rig) swtpm(dir string) (module string) {
	r.t.Helper()
	list, _ := filepath.Glob("/usr/lib/*/libtpm2_pkcs11.so.1")
	for _, program := range []string{"swtpm", "swtpm_setup", "tpm2-abrmd", "dbus-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			list = nil
		}
	}
	if len(list) == 0 {
		absent(r.t, "swtpm and tpm2-pkcs11 are not installed (apt-get install swtpm swtpm-tools libtpm2-pkcs11-1 libtss2-tcti-swtpm0 libtss2-tcti-tabrmd0 tpm2-abrmd dbus-daemon)")
	}
	state := filepath.Join(dir, "tpm")
	check(r.t, os.MkdirAll(filepath.Join(state, "store"), 0o700))
	if out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", state, "--overwrite", "--ecc").CombinedOutput(); err != nil {
		r.t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	port := await.Ports(r.t, 2)
	// The control port tells that it is up, and takes any number of callers.
	r.daemon(func() error { return connects("tcp", fmt.Sprintf("127.0.0.1:%d", port+1)) }, nil, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--flags", "not-need-init,startup-clear",
		"--server", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port), "--ctrl", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port+1))
	// A TPM has room for a few objects, and a socket for one caller: the look from
	// a new process takes a resource manager, as Linux has it in /dev/tpmrm0.
	bus := "DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(state, "bus")
	r.daemon(func() error { return connects("unix", filepath.Join(state, "bus")) }, nil,
		"dbus-daemon", "--session", "--nofork", "--nosyslog", "--address=unix:path="+filepath.Join(state, "bus"))
	r.env = append(r.env, bus, "TPM2_PKCS11_TCTI=tabrmd:bus_type=session",
		"TPM2_PKCS11_STORE="+filepath.Join(state, "store"), "TPM2_PKCS11_LOG_LEVEL=0", "TSS2_LOG=all+none")
	r.daemon(func() error {
		out, err := r.command(dir, "hsm", "list", "--module", list[0]).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}, []string{bus}, "tpm2-abrmd", "--allow-root", "--session", fmt.Sprintf("--tcti=swtpm:host=127.0.0.1,port=%d", port))
	return list[0]
}

// daemon runs a program until the test is over, and returns when it is up.
func (r *rig) daemon(up func() error, env []string, name string, args ...string) {
	r.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	p, err := await.Start(r.t, cmd), error(nil)
	if !p.Until(func() bool { err = up(); return err == nil }) {
		p.Kill()
		r.t.Fatalf("%s doesn't start: %v\n%s", name, err, said.String())
	}
}

func connects(network, address string) error {
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// TestTPM2PKCS11 lives a whole life on a TPM. The chip keeps its keys, but the
// module keeps what it says of them in a file, and lets anybody who logs in write
// there that the key is extractable and not sensitive: a plan has to tolerate that by name, and
// each policy too.
func TestTPM2PKCS11(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	module := r.swtpm(dir)
	r.planned(dir, module, 1, "pin-of-vendor", "12345678")
	tolerant(t, dir)
	r.approved(dir, "--tolerates", "relax-extractable,relax-sensitive")
	out, err := r.start(dir).CombinedOutput()
	if err != nil || !bytes.Contains(flat(out), []byte("relax-extractable, relax-sensitive tolerated, and set back")) {
		t.Fatalf("%v\n%s", err, out)
	}
	// The third party has a say of its own.
	third, err := os.ReadFile(filepath.Join(dir, "thirdparty.yaml"))
	check(t, err)
	third = bytes.Replace(third, []byte("least_hsms: 2"), []byte("least_hsms: 1\ntolerates: [relax-extractable, relax-sensitive]"), 1)
	check(t, os.WriteFile(filepath.Join(dir, "thirdparty.yaml"), third, 0o644))
	r.live(dir)
	out = r.run(dir, "verify", "evidence.tar", "--policy", "policy.yaml")
	if !bytes.Contains(flat(out), []byte("tolerated, as plan and policy say: relax-extractable in hsm-1, relax-sensitive in hsm-1")) {
		t.Errorf("the report doesn't say what was tolerated:\n%s", out)
	}
	// An auditor who doesn't take it is not overruled by the plan.
	r.run(dir, "policy", "new", "--plan", "plan.yaml", "--confirmed", "a test", "--out", "strict.yaml")
	out, err = r.command(dir, "verify", "evidence.tar", "--policy", "strict.yaml").CombinedOutput()
	if err == nil || !bytes.Contains(flat(out), []byte("relax-extractable in hsm-1, relax-sensitive in hsm-1 succeeded; the plan tolerates it, the policy does not")) {
		t.Errorf("%v\n%s", err, out)
	}

}

// TestTPM2PKCS11IsRefused by a plan that tolerates nothing: the key is destroyed,
// and the record of it verifies.
func TestTPM2PKCS11IsRefused(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	r.fleet(dir, r.swtpm(dir), 1, "pin-of-vendor", "12345678")
	out, err := r.start(dir).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("attempt relax-extractable succeeded")) || !bytes.Contains(out, []byte("the key was destroyed")) {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = r.command(dir, "verify", "ceremony", "--policy", "policy.yaml").CombinedOutput()
	if err == nil || !bytes.Contains(flat(out), []byte("the ceremony was aborted: generate hsm-1 session: hsm-1 session: attempt relax-extractable succeeded")) {
		t.Errorf("the record doesn't say why: %v\n%s", err, out)
	}
}

// flat is output without its line breaks and indents.
func flat(out []byte) []byte { return []byte(strings.Join(strings.Fields(string(out)), " ")) }

// pkcsslotd has opencryptoki's daemon run until the test is over. Who else on
// this machine wants the token meanwhile waits. The daemon is a child of the
// test, in the foreground, so that the test knows which process to end, and when
// it has ended.
func (r *rig) pkcsslotd(daemon, dir, module string) {
	r.t.Helper()
	for _, path := range []string{"/run/lock/opencryptoki/swtok", "/var/lib/opencryptoki/swtok/TOK_OBJ"} {
		check(r.t, os.MkdirAll(path, 0o770))
	}
	var unlock func()
	await.Until(r.t, "no other test uses opencryptoki's token", func() bool {
		var err error
		unlock, err = durable.Lock("/run/lock/opencryptoki/fleetctl-test")
		return err == nil
	})
	r.t.Cleanup(unlock)
	answers := func() bool { return r.command(dir, "hsm", "list", "--module", module).Run() == nil }
	if answers() {
		return // the machine has one of its own
	}
	cmd := exec.Command(daemon, "-f")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	p := await.Start(r.t, cmd)
	r.t.Cleanup(func() {
		check(r.t, cmd.Process.Signal(syscall.SIGTERM)) // it removes what it shares
		if ok, _ := p.Ends(); !ok {
			r.t.Error("opencryptoki's daemon doesn't end when it is told to")
		}
	})
	if !p.Until(answers) {
		p.Kill()
		r.t.Fatalf("opencryptoki's daemon doesn't answer:\n%s", said.String())
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
	r.pkcsslotd(daemon, dir, list[0])
	r.fleet(dir, list[0], 1, "1234abcd", "87654321", "session=rsa-3072")
	typed(t, dir, "vendor-1")
	k := atTerminal(t, r.start(dir))
	k.types("PIN of hsm-1", "wrong-1\n", "try again", "try again\n", "PIN of hsm-1", "wrong-2\n", "One try is left", "",
		"use the last try", "use the last try\n", "PIN of hsm-1", "1234abcd\n")
	if code := k.ends(); code != cli.ExitDone {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	want := []string{"hsm-1 terminal CKR_PIN_INCORRECT", "hsm-1 terminal CKR_PIN_INCORRECT", "hsm-1 terminal ok"}
	if got := unlocks(t, dir); !slices.Equal(got, want) {
		t.Errorf("the record has %q", got)
	}
	r.run(dir, "bundle", "build", "ceremony")

	// A PIN from a file descriptor, which is read once and nobody is asked.
	dir = r.world()
	r.fleet(dir, list[0], 1, "1234abcd", "87654321", "session=rsa-3072")
	pinFrom(t, dir, "vendor-1", "fd:3")
	cmd := r.start(dir)
	pin, err := os.Open(filepath.Join(dir, "pins", "vendor-1"))
	check(t, err)
	cmd.ExtraFiles = []*os.File{pin}
	out, err := cmd.CombinedOutput()
	check(t, pin.Close())
	if err != nil || bytes.Contains(out, []byte("1234abcd")) {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := unlocks(t, dir); !slices.Equal(got, []string{"hsm-1 fd ok"}) {
		t.Errorf("the record has %q", got)
	}
	r.run(dir, "bundle", "build", "ceremony")

	// A wrong one is tried once: on a token that locks at the third.
	dir = r.world()
	r.fleet(dir, list[0], 1, "1234abcd", "87654321", "session=rsa-3072")
	pinFrom(t, dir, "vendor-1", "fd:3")
	wrong := filepath.Join(dir, "pins", "wrong")
	check(t, os.WriteFile(wrong, []byte("wrong-1\n"), 0o600))
	cmd = r.start(dir)
	pin, err = os.Open(wrong)
	check(t, err)
	cmd.ExtraFiles = []*os.File{pin}
	out, err = cmd.CombinedOutput()
	check(t, pin.Close())
	if err == nil || !bytes.Contains(out, []byte("CKR_PIN_INCORRECT")) {
		t.Errorf("%v\n%s", err, out)
	}
	if got := unlocks(t, dir); !slices.Equal(got, []string{"hsm-1 fd CKR_PIN_INCORRECT"}) {
		t.Errorf("the record has %q", got)
	}

	// To the end: what is left is an abort that says so, and no wrong try more.
	dir = r.world()
	r.fleet(dir, list[0], 1, "1234abcd", "87654321", "session=rsa-3072")
	typed(t, dir, "vendor-1")
	k = atTerminal(t, r.start(dir))
	k.types("PIN of hsm-1", "wrong-1\n", "try again", "try again\n", "PIN of hsm-1", "wrong-2\n", "use the last try", "use the last try\n", "PIN of hsm-1", "wrong-3\n")
	if code := k.ends(); code != cli.ExitFailed || !strings.Contains(k.shown(), "the PIN is locked") {
		t.Errorf("exit code %d\n%s", code, k.shown())
	}
	if got := unlocks(t, dir); len(got) != 3 {
		t.Errorf("%d tries are on the record: %q", len(got), got)
	}
	k = atTerminal(t, r.start(dir))
	if code := k.ends(); code != cli.ExitFailed || strings.Contains(k.shown(), "PIN of hsm-1:") {
		t.Errorf("a locked token is tried: exit code %d\n%s", code, k.shown())
	}
	r.run(dir, "ceremony", "abort", "ceremony", "--site", "site.yaml", "--reason", "the PIN of hsm-1 is locked")
}
