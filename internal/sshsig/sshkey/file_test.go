//go:build unix

package sshkey_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sshkey"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const plan, secret = "fleetctl-plan", "correct horse"

var message = []byte("the plan's bytes\n")

func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing; CI needs it: apt-get install openssh-client", name)
		}
		t.Skipf("no %s here: apt-get install openssh-client", name)
	}
	return path
}

// keygen makes a key and gives the private file's path.
func keygen(t testing.TB, passphrase string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	args = append([]string{"-q", "-N", passphrase, "-C", "officer one", "-f", path}, args...)
	if out, err := exec.Command(tool(t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
	}
	return path
}

func pubOf(t testing.TB, private string) *sshsig.Key {
	t.Helper()
	b, err := os.ReadFile(private + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	k, err := sshsig.ParsePublicKey(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// checked verifies by us and by ssh-keygen with an allowed-signers file.
func checked(t testing.TB, s *sshsig.Signature, key *sshsig.Key) {
	t.Helper()
	if !s.Key().Equal(key) {
		t.Errorf("signed by %s, not by %s", s.Key(), key)
	}
	if err := s.Verify(plan, message); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	signers, sig := filepath.Join(dir, "allowed"), filepath.Join(dir, "sig")
	if os.WriteFile(signers, []byte(`one@example.org namespaces="`+plan+`" `+key.String()+"\n"), 0o600) != nil || os.WriteFile(sig, s.Armor(), 0o600) != nil {
		t.Fatal("can't write")
	}
	for ns, want := range map[string]bool{plan: true, plan + "-rehearsal": false} {
		cmd := exec.Command(tool(t, "ssh-keygen"), "-Y", "verify", "-f", signers, "-I", "one@example.org", "-n", ns, "-s", sig)
		cmd.Stdin = bytes.NewReader(message)
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("ssh-keygen -Y verify -n %s: %v\n%s", ns, err, out)
		}
	}
}

var types = map[string][]string{
	"ed25519":   {"-t", "ed25519"},
	"ecdsa-256": {"-t", "ecdsa", "-b", "256"},
	"ecdsa-384": {"-t", "ecdsa", "-b", "384"},
}

func TestSSHKeygenTakesWhatWeSign(t *testing.T) {
	for name, args := range types {
		t.Run(name, func(t *testing.T) {
			private := keygen(t, "", args...)
			f, err := sshkey.Open(private, nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 8 {
				s, err := f.Sign(plan, message)
				if err != nil {
					t.Fatal(err)
				}
				checked(t, s, pubOf(t, private))
				checked(t, s, f.Key())
			}
			f.Close()
			f.Close()
			if s, err := f.Sign(plan, message); err == nil || s != nil {
				t.Error("a closed key signs")
			}
		})
	}
}

func TestEd25519SignsTheBytesThatSSHKeygenDoes(t *testing.T) {
	private := keygen(t, "", "-t", "ed25519")
	f, err := sshkey.Open(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := f.Sign(plan, message)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "ssh-keygen"), "-Y", "sign", "-q", "-n", plan, "-f", private)
	cmd.Stdin = bytes.NewReader(message)
	if out, err := cmd.Output(); err != nil || !bytes.Equal(out, s.Armor()) {
		t.Errorf("%v\n%s\n%s", err, out, s.Armor())
	}
}

func TestEncryptedKeys(t *testing.T) {
	for name, args := range types {
		t.Run(name, func(t *testing.T) {
			private := keygen(t, secret, append(args, "-a", "2")...)
			var given []byte
			ask := func(s string) func() ([]byte, error) {
				return func() ([]byte, error) { given = []byte(s); return given, nil }
			}
			wiped := func() {
				t.Helper()
				if len(bytes.Trim(given, "\x00")) > 0 {
					t.Errorf("the passphrase stays: %q", given)
				}
			}
			f, err := sshkey.Open(private, ask(secret))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			wiped()
			s, err := f.Sign(plan, message)
			if err != nil {
				t.Fatal(err)
			}
			checked(t, s, pubOf(t, private))
			for _, wrong := range []string{"", "Correct horse", secret + "\n"} {
				if f, err := sshkey.Open(private, ask(wrong)); f != nil || !errors.Is(err, sshkey.ErrPassphrase) || !strings.HasPrefix(err.Error(), private) {
					t.Errorf("%q: %v", wrong, err)
				}
				wiped()
			}
			gone := errors.New("end of input")
			if f, err := sshkey.Open(private, func() ([]byte, error) { given = []byte("half"); return given, gone }); f != nil || !errors.Is(err, gone) {
				t.Error(err)
			}
			wiped()
			refused(t, private, "is encrypted, and there is nobody to ask for its passphrase")
		})
	}
}

func TestACipherWeCannotReadIsSaid(t *testing.T) {
	private := keygen(t, secret, "-t", "ed25519", "-Z", "aes256-gcm@openssh.com")
	f, err := sshkey.Open(private, func() ([]byte, error) { t.Error("asks in vain"); return []byte(secret), nil })
	var e *strict.Error
	if f != nil || !errors.As(err, &e) || !strings.Contains(e.Msg, "aes256-gcm@openssh.com") || !strings.Contains(e.Hint, "ssh-add "+private) {
		t.Fatalf("%v", err)
	}
	rounds := keygen(t, secret, "-t", "ed25519")
	// An hour's worth of rounds, put where the file says how many: nobody waits.
	b, err := os.ReadFile(rounds)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rounds, withRounds(t, b, 1<<24), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := sshkey.Open(rounds, func() ([]byte, error) { return []byte(secret), nil }); f != nil || !errors.As(err, &e) || !strings.Contains(e.Msg, "rounds") || e.Hint == "" {
		t.Errorf("%v", err)
	}
	// What the hint says helps.
	if out, err := exec.Command(tool(t, "ssh-keygen"), "-p", "-P", secret, "-N", secret, "-Z", "aes256-ctr", "-a", "24", "-f", private).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := sshkey.Open(private, func() ([]byte, error) { return []byte(secret), nil }); err != nil {
		t.Error(err)
	}
}

func refused(t testing.TB, path, want string) {
	t.Helper()
	f, err := sshkey.Open(path, nil)
	if f != nil || err == nil || !strings.HasPrefix(err.Error(), path+": "+want) {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestFilesThatOthersCanReadAreRefused(t *testing.T) {
	private := keygen(t, "", "-t", "ed25519")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644, 0o601} {
		if err := os.Chmod(private, mode); err != nil {
			t.Fatal(err)
		}
		refused(t, private, "is a private key that others can read or change (mode 0")
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if err := os.Chmod(private, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := sshkey.Open(private, nil); err != nil {
			t.Error(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(private, 12345, -1); err != nil {
			t.Fatal(err)
		}
		refused(t, private, "belongs to another user")
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, fifo, "is not a regular file")
	refused(t, t.TempDir(), "is not a regular file")
	if _, err := sshkey.Open(private+"x", nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestFilesThatAreNoKeyOfOurs(t *testing.T) {
	ed, other := keygen(t, "", "-t", "ed25519"), keygen(t, "", "-t", "ed25519")
	good, err := os.ReadFile(ed)
	if err != nil {
		t.Fatal(err)
	}
	file := func(b []byte) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pub, err := os.ReadFile(ed + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	const none = "is no OpenSSH private key"
	refused(t, file(nil), none)
	refused(t, file(pub), none)
	refused(t, file(append(bytes.Clone(good), good...)), none)
	refused(t, file(append([]byte("x\n"), good...)), none)
	refused(t, file(bytes.Repeat([]byte("A"), 20000)), "is longer than 16384 bytes")
	refused(t, file(bytes.Replace(good, []byte("\nb3Bl"), []byte("\nb3Bm"), 1)), "is a damaged OpenSSH private key")
	refused(t, keygen(t, "", "-t", "ecdsa", "-b", "256", "-m", "PEM"), none)
	refused(t, keygen(t, "", "-t", "ecdsa", "-b", "256", "-m", "PKCS8"), none)
	refused(t, keygen(t, "", "-t", "rsa", "-b", "2048"), "holds a key that is of type ssh-rsa; allowed are")
	refused(t, keygen(t, secret, "-t", "rsa", "-b", "2048"), "holds a key that is of type ssh-rsa; allowed are") // before asking
	refused(t, keygen(t, "", "-t", "ecdsa", "-b", "521"), "holds a key that is of type ecdsa-sha2-nistp521")
	refused(t, file(withPublic(t, good, pubOf(t, other).Blob())), "holds a private key and the public key of another")
	refused(t, file(withPublic(t, good, device(t).Blob())), "is the handle of a FIDO2 key, which signs through ssh-agent")
}

// No bit of a key file matters less than the signature: either the file is
// refused or what it makes verifies under the key it claims.
func TestDamagedFilesNeverSignWrongly(t *testing.T) {
	private := keygen(t, "", "-t", "ed25519")
	good, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	refusals := 0
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(private, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := sshkey.Open(private, nil)
		if err == nil {
			var s *sshsig.Signature
			if s, err = f.Sign(plan, message); err == nil && s.Verify(plan, message) != nil {
				t.Errorf("byte %d: signs what doesn't verify", i)
			}
		}
		if err != nil {
			refusals++
		}
	}
	if refusals < len(good)/2 {
		t.Errorf("%d refusals of %d", refusals, len(good))
	}
}
