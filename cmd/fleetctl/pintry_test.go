//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// typed makes the site file say that the PIN of an HSM is typed.
func typed(t testing.TB, dir, label string) {
	t.Helper()
	pinFrom(t, dir, label, "terminal")
}

// pinFrom has the site file take an HSM's PIN from another source.
func pinFrom(t testing.TB, dir, label, source string) {
	t.Helper()
	path := filepath.Join(dir, "site.yaml")
	data, err := os.ReadFile(path)
	check(t, err)
	old := fmt.Sprintf("file:%s/pins/%s", dir, label)
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %s:\n%s", path, old, data)
	}
	check(t, os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(source)), 0o600))
}

// unlocks are the results of the logins on the transcript.
func unlocks(t testing.TB, dir string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "ceremony", "transcript.jsonl"))
	check(t, err)
	a, err := folder.ReadToLastRecord(filepath.Join(dir, "ceremony"))
	check(t, err)
	transcript, err := ceremony.ParseTranscript("transcript", data, a.Plan.Digest())
	check(t, err)
	for _, r := range transcript.Records {
		if u, ok := r.Content.(*ceremony.Unlock); ok {
			list = append(list, u.HSM+" "+u.Method+" "+u.Result)
		}
	}
	return list
}

const right, wrongPIN = "pin-of-fleet-1", "canary-wrong-1"

// TestATypedPINIsAskedForAgain: one typo doesn't end a ceremony. Each try was
// typed, and each is on the record.
func TestATypedPINIsAskedForAgain(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	typed(t, dir, "fleet-1")
	k := atTerminal(t, r.start(dir))
	k.types("PIN of hsm-1", wrongPIN+"\n", "did not take that PIN", "", `"try again"`, "fleetctl ceremony status ceremony\n", "Nothing was sent", "",
		`"try again"`, wrongPIN+"\n", "Nothing was sent", "", `"try again"`, "Try  AGAIN\n",
		"PIN of hsm-1", "12\n", "it has 2 bytes, the token takes 4 to 255; it was not tried", "", "PIN of hsm-1", right+"\n")
	if code := k.ends(); code != cli.ExitDone {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	// The short one was never sent to the token, so that it refused nothing.
	want := []string{"hsm-1 terminal CKR_PIN_INCORRECT", "hsm-1 terminal ok", "hsm-2 file ok", "hsm-3 file ok"}
	if got := unlocks(t, dir); !slices.Equal(got, want) {
		t.Errorf("the record has %q", got)
	}
	if end, err := r.end(dir); end != passed {
		t.Errorf("%s %v", end, err)
	}
	for _, secret := range []string{right, wrongPIN} {
		if strings.Contains(k.shown(), secret) {
			t.Error("a PIN is on the screen")
		}
		if found, err := filesWith(filepath.Join(dir, "ceremony"), []byte(secret)); err != nil || len(found) > 0 {
			t.Errorf("a PIN is in %v, %v", found, err)
		}
	}
}

// TestStopAtAPIN leaves the ceremony where it stands.
func TestStopAtAPIN(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	typed(t, dir, "fleet-1")
	k := atTerminal(t, r.start(dir))
	k.types("PIN of hsm-1", wrongPIN+"\n", `"try again"`, "stop\n")
	if code := k.ends(); code != cli.ExitFailed || !strings.Contains(k.shown(), "CKR_PIN_INCORRECT") || !strings.Contains(k.shown(), "--approve resume") {
		t.Errorf("exit code %d\n%s", code, k.shown())
	}
	if got := unlocks(t, dir); !slices.Equal(got, []string{"hsm-1 terminal CKR_PIN_INCORRECT"}) {
		t.Errorf("the record has %q", got)
	}
	k = atTerminal(t, r.start(dir)) // a wrong try has opened it: this resumes
	k.types("PIN of hsm-1", right+"\n")
	if code := k.ends(); code != cli.ExitDone {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	if end, err := r.end(dir); end != passed {
		t.Errorf("%s %v", end, err)
	}
}

// TestWhatIsTypedAfterAWrongPINIsNoPIN: whoever goes on typing commands, or
// closes the terminal, sends none of it to the token.
func TestWhatIsTypedAfterAWrongPINIsNoPIN(t *testing.T) {
	r := newRig(t)
	for _, after := range [][]string{
		// However much is typed, it never comes to a shell: the program waits for stop.
		{"ls -l\n", "cd ceremony\n", "cat site.yaml\n", wrongPIN + "\n", "fleetctl status\n", wrongPIN + "\n", wrongPIN + "\n", "stop\n"},
		{"\x04"},
	} {
		dir := r.world()
		typed(t, dir, "fleet-1")
		k := atTerminal(t, r.start(dir))
		k.types("PIN of hsm-1:", wrongPIN+"\n")
		for _, line := range after {
			k.types(`"try again"`, line)
		}
		if code := k.ends(); code != cli.ExitFailed || strings.Count(k.shown(), "PIN of hsm-1:") != 1 || strings.Contains(k.shown(), wrongPIN) {
			t.Errorf("%q: exit code %d\n%s", after, code, k.shown())
		}
		if got := unlocks(t, dir); !slices.Equal(got, []string{"hsm-1 terminal CKR_PIN_INCORRECT"}) {
			t.Errorf("%q: the record has %q", after, got)
		}
	}
}

// TestAnAbortAsksBeforeTheNextPIN: whoever gives up a token there doesn't
// expect to be asked for the PIN of another one.
func TestAnAbortAsksBeforeTheNextPIN(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	typed(t, dir, "fleet-1")
	typed(t, dir, "fleet-2")
	before := len(unlocks(t, dir))
	k := atTerminal(t, r.command(dir, "ceremony", "abort", "ceremony", "--site", "site.yaml", "--reason", "a test"))
	k.types("destroy and abort", "destroy and abort\n", "PIN of hsm-1:", wrongPIN+"\n", `"try again"`, "stop\n", "that of hsm-2", "", `"go on"`, "ls -l\n", "Nothing was sent", "", `"go on"`, "stop\n")
	k.ends()
	if screen := k.shown(); strings.Contains(screen, "PIN of hsm-2:") || strings.Count(screen, "PIN of hsm-1:") != 1 {
		t.Errorf("a PIN was asked for by itself\n%s", screen)
	}
	if got := unlocks(t, dir)[before:]; !slices.Equal(got, []string{"hsm-1 terminal CKR_PIN_INCORRECT", "hsm-3 file ok"}) {
		t.Errorf("the record has %q", got)
	}
}

// TestAPINFromAFileIsTriedOnce: nothing goes on trying by itself.
func TestAPINFromAFileIsTriedOnce(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	path := filepath.Join(dir, "pins", "fleet-1")
	check(t, os.WriteFile(path, []byte(wrongPIN+"\n"), 0o600))
	for n := 1; n <= 2; n++ {
		out, err := r.start(dir).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("CKR_PIN_INCORRECT")) || bytes.Contains(out, []byte(wrongPIN)) {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := unlocks(t, dir); len(got) != n {
			t.Errorf("%d runs, %q", n, got)
		}
	}
	check(t, os.WriteFile(path, []byte(right+"\n"), 0o600))
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if end, err := r.end(dir); end != passed {
		t.Errorf("%s %v", end, err)
	}
}

// TestTheTokensFlagsAreReadBeforeEachTry: a locked token is not tried, and the
// last try is made only by consent.
func TestTheTokensFlagsAreReadBeforeEachTry(t *testing.T) {
	const finalTry, locked, keypad = "PROXY_FLAGS=0x20000", "PROXY_FLAGS=0x40000", "PROXY_FLAGS=0x100"
	r := newRig(t)
	r.proxy()
	flagged := func(dir, flag string) *keyboard {
		cmd := r.start(dir)
		cmd.Env = append(cmd.Env, flag)
		return atTerminal(t, cmd)
	}

	// From a file, with nobody at a terminal, the last try is not made.
	dir := r.world()
	cmd := r.start(dir)
	cmd.Env = append(cmd.Env, finalTry)
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("one try is left")) {
		t.Errorf("%v\n%s", err, out)
	}
	if got := unlocks(t, dir); len(got) != 0 {
		t.Errorf("tried nonetheless: %q", got)
	}

	dir = r.world()
	typed(t, dir, "fleet-1")
	k := flagged(dir, locked)
	if code := k.ends(); code != cli.ExitFailed || !strings.Contains(k.shown(), "the PIN is locked") || strings.Contains(k.shown(), "PIN of hsm-1") {
		t.Errorf("locked: exit code %d\n%s", code, k.shown())
	}
	// A keypad goes before the terminal. SoftHSM has none, and says so.
	keyed := r.world()
	typed(t, keyed, "fleet-1")
	k = flagged(keyed, keypad)
	k.types("at the device itself", "")
	if code := k.ends(); code != cli.ExitFailed || strings.Contains(k.shown(), "PIN of hsm-1:") {
		t.Errorf("keypad: exit code %d\n%s", code, k.shown())
	}
	if got := unlocks(t, keyed); !slices.Equal(got, []string{"hsm-1 protected CKR_ARGUMENTS_BAD"}) {
		t.Errorf("keypad: %q", got)
	}
	k = flagged(dir, finalTry)
	k.types("One try is left", "", "use the last try", "yes\n", "use the last try", "stop\n")
	if code := k.ends(); code != cli.ExitPending {
		t.Errorf("stop instead of the last try: exit code %d\n%s", code, k.shown())
	}
	if got := unlocks(t, dir); len(got) != 0 {
		t.Errorf("tried nonetheless: %q", got)
	}
	k = flagged(dir, finalTry)
	k.types("use the last try", "use the last try\n", "PIN of hsm-1", right+"\n")
	k.ends() // the flag stays, so that the look from a new process stops
	if got := unlocks(t, dir); len(got) == 0 || got[0] != "hsm-1 terminal ok" {
		t.Errorf("agreed to the last try: %q\n%s", got, k.shown())
	}
	if out, err := r.start(dir).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("no terminal to type it at")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// A PIN that nobody has tried yet is typed twice: a slip would lock the token's
// owner out.
func TestANewPINIsTypedTwice(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	k := atTerminal(t, r.command(dir, "hsm", "init", "--module", modulePath(), "--label", "fresh"))
	k.types("PIN of the security officer of fresh:", "officers-1\n", "The same again:", "officers-2\n", "two different ones", "",
		"PIN of the security officer of fresh:", "officers-1\n", "The same again:", "officers-1\n",
		"PIN of fresh:", "canary-9\n", "The same again:", "canary-9\n")
	if code := k.ends(); code != cli.ExitDone || strings.Contains(k.shown(), "canary-9") {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	// And that is the PIN it has.
	check(t, os.WriteFile(filepath.Join(dir, "pins", "fresh"), []byte("canary-9\n"), 0o600))
	r.run(dir, "hsm", "keygen", "--module", modulePath(), "--token", "fresh", "--id", "01", "--pin", "file:"+filepath.Join(dir, "pins", "fresh"))
}

// A key file's passphrase is typed twice when it is chosen, once when it is used.
func TestAPassphraseIsTypedOnceToOpenAKey(t *testing.T) {
	r := newRig(t)
	dir := r.world()
	const phrase = "correct horse battery"
	k := atTerminal(t, r.command(dir, "thirdparty", "keygen", "--key", "new.age", "--out", "new.pub"))
	k.types("Passphrase of the new key file new.age:", phrase+"\n", "The same again:", phrase+"\n")
	if code := k.ends(); code != cli.ExitDone || strings.Contains(k.shown(), phrase) || !strings.Contains(k.shown(), "fleetctl words new.pub") {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	k = atTerminal(t, r.command(dir, "log", "init", "log-of-age", "--origin", "log.example/age", "--key", "new.age"))
	k.types("Passphrase of the key file new.age:", phrase+"\n")
	if code := k.ends(); code != cli.ExitDone || strings.Contains(k.shown(), "again") {
		t.Fatalf("exit code %d\n%s", code, k.shown())
	}
}
