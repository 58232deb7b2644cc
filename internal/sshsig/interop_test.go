package sshsig_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
)

// keygen makes a key with ssh-keygen and gives the private file's path.
func keygen(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	path := dir + "/" + name
	args = append([]string{"-q", "-N", "", "-C", "officer one", "-f", path}, args...)
	if out, err := exec.Command(tool(t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
	}
	return path
}

func pubFile(t testing.TB, private string) (*sshsig.Key, string) {
	t.Helper()
	b, err := os.ReadFile(private + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(string(b), "\n")
	k, err := sshsig.ParsePublicKey(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return k, line
}

func keygenSign(t testing.TB, key, namespace string, message []byte, args ...string) []byte {
	t.Helper()
	args = append([]string{"-Y", "sign", "-q", "-n", namespace, "-f", key}, args...)
	cmd := exec.Command(tool(t, "ssh-keygen"), args...)
	cmd.Stdin = bytes.NewReader(message)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v", args, err)
	}
	return out
}

// keygenVerify asks ssh-keygen -Y verify, with an allowed-signers file that
// lets the key sign for the namespace plan alone.
func keygenVerify(t testing.TB, keyLine, namespace string, message, armored []byte) error {
	t.Helper()
	dir := t.TempDir()
	signers := write(t, dir, "allowed", []byte(`one@example.org namespaces="`+plan+`" `+keyLine+"\n"))
	sig := write(t, dir, "sig", armored)
	cmd := exec.Command(tool(t, "ssh-keygen"), "-Y", "verify", "-f", signers, "-I", "one@example.org", "-n", namespace, "-s", sig)
	cmd.Stdin = bytes.NewReader(message)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return err
}

var keygenTypes = map[string][]string{
	"ed25519":   {"-t", "ed25519"},
	"ecdsa-256": {"-t", "ecdsa", "-b", "256"},
	"ecdsa-384": {"-t", "ecdsa", "-b", "384"},
}

func TestWeTakeWhatSSHKeygenSigns(t *testing.T) {
	for name, args := range keygenTypes {
		t.Run(name, func(t *testing.T) {
			private := keygen(t, t.TempDir(), "key", args...)
			key, line := pubFile(t, private)
			for range 8 { // ECDSA's numbers differ in length from one to the next
				for _, hash := range []string{"sha512", "sha256"} {
					sig := keygenSign(t, private, plan, message, "-O", "hashalg="+hash)
					if got := judge(sig, plan, message); got != "ok" {
						t.Fatalf("%s\n%s", got, sig)
					}
					s, err := sshsig.Parse("x.sig", sig)
					if err != nil || !s.Key().Equal(key) || s.Namespace() != plan || !bytes.Equal(s.Armor(), sig) {
						t.Fatalf("%v: %s, %s", err, s.Key(), s.Armor())
					}
					// What ours gives back is still ssh-keygen's.
					if keygenVerify(t, line, plan, message, s.Armor()) != nil {
						t.Error("ssh-keygen refuses what we armored")
					}
				}
			}
			out, err := exec.Command(tool(t, "ssh-keygen"), "-l", "-f", private+".pub").Output()
			if err != nil || !strings.Contains(string(out), " "+key.Fingerprint()+" ") {
				t.Errorf("ssh-keygen -l says %s (%v), we say %s", out, err, key.Fingerprint())
			}
			if key.String()+" officer one" != line {
				t.Errorf("%s\n%s", key, line)
			}
		})
	}
}

func TestSSHKeygenAndWeRefuseTheSame(t *testing.T) {
	private := keygen(t, t.TempDir(), "key", "-t", "ed25519")
	_, line := pubFile(t, private)
	sig := keygenSign(t, private, plan, message)
	other := keygenSign(t, private, plan+"-rehearsal", message)
	for name, c := range map[string]struct {
		sig, message []byte
		namespace    string
	}{
		"another message":   {sig, []byte("the plan's bytes"), plan},
		"another namespace": {sig, message, plan + "-rehearsal"},
		"of a rehearsal":    {other, message, plan},
	} {
		if keygenVerify(t, line, c.namespace, c.message, c.sig) == nil {
			t.Errorf("%s: ssh-keygen takes it", name)
		}
		if judge(c.sig, c.namespace, c.message) == "ok" {
			t.Errorf("%s: we take it", name)
		}
	}
}

// The stand-in signs as a device does, or ssh-keygen would not take it. That it
// also takes a signature for which nobody touched the device is why we check:
// should it ever refuse, our package comment is out of date.
func TestSSHKeygenTakesTheStandInForADevice(t *testing.T) {
	for _, typ := range []string{sktest.Ed25519, sktest.P256} {
		t.Run(typ, func(t *testing.T) {
			d := device(t, typ, "ssh:fleet")
			s, err := d.Sign(plan, message)
			if err != nil {
				t.Fatal(err)
			}
			if keygenVerify(t, s.Key().String(), plan, message, s.Armor()) != nil {
				t.Error("ssh-keygen refuses a touched device's signature")
			}
			d.Flags = 0
			e := (&soft{d.Blob(), d.SignBytes}).seal(t, nil)
			if keygenVerify(t, s.Key().String(), plan, message, e.armor()) != nil {
				t.Error("ssh-keygen refuses a signature without touch")
			}
			if got := judge(e.armor(), plan, message); got != untouched {
				t.Errorf("%s, want %s", got, untouched)
			}
		})
	}
}

// "Never more than ssh-keygen does": what we take of the vectors, it takes. What
// it takes and we don't is listed, so that nobody is surprised.
func TestSSHKeygenTakesWhatWeTake(t *testing.T) {
	taken := 0
	for _, v := range cases(t) {
		if strings.HasPrefix(v.name, "mldsa44-") {
			continue // of a newer OpenSSH than the one that is asked here
		}
		cmd := exec.Command(tool(t, "ssh-keygen"), "-Y", "check-novalidate", "-n", plan, "-s", write(t, t.TempDir(), "sig", []byte(v.armored)))
		cmd.Stdin = bytes.NewReader(message)
		err := cmd.Run()
		switch {
		case v.expect == "ok" && err != nil:
			t.Errorf("%s: we take it, ssh-keygen doesn't", v.name)
		case v.expect == "ok":
			taken++
		case err == nil:
			t.Logf("ssh-keygen takes %s, we don't: %s", v.name, v.expect)
		}
	}
	if taken < 9 {
		t.Errorf("only %d were taken", taken)
	}
}
