//go:build unix

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
)

const program = "#!/bin/sh\necho this is fleetctl\n"

// release is a folder as scripts/release leaves it, but for what is in its files.
type release struct {
	t                 *testing.T
	dir, key, policy  string
	log, logKey       string
	witness, stranger *cosigner
}

type cosigner struct {
	name, vkey string
	key        ed25519.PrivateKey
}

func newWitness(t *testing.T, name string) *cosigner {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	typed := append([]byte{4}, pub...)
	id := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return &cosigner{name, fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(typed)), key}
}

// cosign adds a cosignature to a proof, as C2SP tlog-cosignature has it.
func (w *cosigner) cosign(proof []byte, seconds uint64) []byte {
	_, rest, _ := bytes.Cut(proof, []byte("\n\n"))
	text, _, _ := bytes.Cut(rest, []byte("\n\n"))
	signature := ed25519.Sign(w.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", seconds, text))
	id := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.key.Public().(ed25519.PublicKey)...))
	line := binary.BigEndian.AppendUint64(id[:4:4], seconds)
	return fmt.Appendf(bytes.Clone(proof), "— %s %s\n", w.name, base64.StdEncoding.EncodeToString(append(line, signature...)))
}

func newRelease(t *testing.T) *release {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("scripts/install installs what runs here, on Linux")
	}
	dir := t.TempDir()
	r := &release{t: t, dir: filepath.Join(dir, "release"), key: filepath.Join(dir, "release-key"), policy: filepath.Join(dir, "log.policy"),
		log: filepath.Join(dir, "log"), logKey: filepath.Join(dir, "log.pem"), witness: newWitness(t, "witness.example/w"), stranger: newWitness(t, "witness.example/x")}
	r.run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", r.key)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	r.write(r.logKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	vkey, err := tiled.VKey("releases.example/fleetctl", pub)
	if err != nil {
		t.Fatal(err)
	}
	if err := publish.Init(r.log, vkey, publish.Options{Kind: entries}); err != nil {
		t.Fatal(err)
	}
	r.write(r.policy, fmt.Appendf(nil, "log %s\nwitness w %s\nwitness x %s\ngroup g 2 w x\nquorum w\n", vkey, r.witness.vkey, r.stranger.vkey))
	r.publish("0.9.0")
	r.publish("1.0.0")
	return r
}

// publish makes the files of a version, signs their list and logs it. The witnesses'
// answers are put into the proof by the test.
func (r *release) publish(version string) {
	r.t.Helper()
	if err := os.RemoveAll(r.dir); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	name := fmt.Sprintf("fleetctl_%s_linux_%s", version, runtime.GOARCH)
	r.write(filepath.Join(r.dir, name), []byte(program))
	r.write(filepath.Join(r.dir, "SHA256SUMS"), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256([]byte(program)), name))
	r.sign(r.key)
	if err := r.append("none"); err != nil {
		r.t.Fatal(err)
	}
	proof := filepath.Join(r.dir, "SHA256SUMS.tlog-proof")
	r.write(proof, r.witness.cosign(r.read(proof), 1790000000))
}

func (r *release) append(quorum string) error {
	policy := r.policy + "-" + quorum
	text := string(r.read(r.policy))
	r.write(policy, []byte(text[:strings.LastIndex(text, "quorum")]+"quorum "+quorum+"\n"))
	_, err := run(r.t.Context(), publish.Options{Kind: entries}, r.log, r.logKey, policy, filepath.Join(r.dir, "SHA256SUMS"))
	return err
}

func (r *release) sign(key string) {
	r.t.Helper()
	list := filepath.Join(r.dir, "SHA256SUMS")
	_ = os.Remove(list + ".sig")
	r.run("", "ssh-keygen", "-q", "-Y", "sign", "-n", "fleetctl-release", "-f", key, list)
}

func (r *release) write(path string, data []byte) {
	r.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *release) read(path string) []byte {
	r.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// change replaces in a file of the release, or in the policy, what must be there.
func (r *release) change(path, old, by string) {
	r.t.Helper()
	data := r.read(path)
	if !bytes.Contains(data, []byte(old)) {
		r.t.Fatalf("%s has no %q", path, old)
	}
	r.write(path, bytes.ReplaceAll(data, []byte(old), []byte(by)))
}

func (r *release) run(in string, args ...string) {
	r.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(in)
	if talk, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %v\n%s", args, err, talk)
	}
}

// install runs scripts/install and gives what it said, and what it installed.
func (r *release) install(more ...string) (talk, installed string) {
	r.t.Helper()
	to := r.t.TempDir()
	args := append([]string{"../install", "--from", r.dir, "--key", r.key + ".pub", "--log-policy", r.policy, "--to", to}, more...)
	out, err := exec.Command("bash", args...).CombinedOutput()
	left, _ := os.ReadDir(to)
	data, _ := os.ReadFile(filepath.Join(to, "fleetctl"))
	if (err == nil) != (len(left) == 1 && string(data) == program) || err != nil && len(left) > 0 {
		r.t.Errorf("%v, and it left %d files\n%s", err, len(left), out)
	}
	return string(out), string(data)
}

func TestAReleaseThatIsSignedAndLoggedIsInstalled(t *testing.T) {
	r := newRelease(t)
	for _, more := range [][]string{nil, {"--version", "1.0.0"}} {
		if talk, installed := r.install(more...); installed != program || !strings.Contains(talk, "entry 1 of releases.example/fleetctl") {
			t.Errorf("with %v:\n%s", more, talk)
		}
	}
	key, _, _ := strings.Cut(string(r.read(r.key+".pub")), "\n")
	if talk, installed := r.install("--key", key); installed != program {
		t.Errorf("the key itself: %s", talk)
	}
	proof := filepath.Join(r.dir, "SHA256SUMS.tlog-proof")
	r.write(proof, r.stranger.cosign(r.read(proof), 1790000001))
	r.change(r.policy, "quorum w", "quorum g")
	if talk, installed := r.install(); installed != program {
		t.Errorf("a group as the quorum: %s", talk)
	}
}

func TestNothingIsInstalledThatIsNotShown(t *testing.T) {
	list, proof := "SHA256SUMS", "SHA256SUMS.tlog-proof"
	name := fmt.Sprintf("fleetctl_1.0.0_linux_%s", runtime.GOARCH)
	for want, attack := range map[string]func(r *release, in func(string) string) []string{
		"is not the file that was released": func(r *release, in func(string) string) []string {
			r.change(in(name), "this is", "this was")
			return nil
		},
		"is not signed by the key that you gave": func(r *release, in func(string) string) []string {
			r.change(in(list), name, "fleetctl_1.0.1_linux_"+runtime.GOARCH)
			return nil
		},
		"this list is not in the log": func(r *release, in func(string) string) []string {
			r.change(in(list), name, "fleetctl_1.0.1_linux_"+runtime.GOARCH)
			r.sign(r.key) // the key was stolen: its signature alone isn't enough
			return nil
		},
		"is not signed by the key that you gave ": func(r *release, _ func(string) string) []string {
			other := filepath.Join(r.t.TempDir(), "other")
			r.run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
			r.sign(other)
			return nil
		},
		"quorum of witnesses has not cosigned": func(r *release, _ func(string) string) []string {
			r.change(r.policy, "quorum w", "quorum g")
			return nil
		},
		"quorum of witnesses has not cosigned ": func(r *release, _ func(string) string) []string {
			r.change(r.policy, r.witness.vkey, newWitness(r.t, r.witness.name).vkey)
			return nil
		},
		"quorum of witnesses has not cosigned  ": func(r *release, in func(string) string) []string {
			text := string(r.read(in(proof)))
			at := strings.Index(text, "— witness")
			r.write(in(proof), r.witness.cosign([]byte(text[:at]), 0))
			return nil
		},
		"there twice": func(r *release, _ func(string) string) []string {
			r.change(r.policy, "witness x "+r.stranger.vkey, "witness x "+r.witness.vkey)
			return nil
		},
		"demands no witnesses": func(r *release, _ func(string) string) []string {
			r.change(r.policy, "quorum w", "quorum none")
			return nil
		},
		"has not signed the proof's checkpoint": func(r *release, _ func(string) string) []string {
			r.change(r.policy, "log releases.example/fleetctl+", "log other.example/fleetctl+")
			pub, _, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				r.t.Fatal(err)
			}
			vkey, err := tiled.VKey("releases.example/fleetctl", pub)
			if err != nil {
				r.t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(r.read(r.policy)), "\n")
			r.write(r.policy, []byte("log "+vkey+"\n"+rest))
			return nil
		},
		"the id of": func(r *release, _ func(string) string) []string {
			r.change(r.policy, "log releases.example/fleetctl+", "log other.example/fleetctl+")
			return nil
		},
		"leads to another tree": func(r *release, in func(string) string) []string {
			r.change(in(proof), "index 1", "index 0")
			return nil
		},
		"is no proof": func(r *release, in func(string) string) []string {
			r.change(in(proof), "index 1", "index 01")
			return nil
		},
		"has no program for":  func(*release, func(string) string) []string { return []string{"--version", "1.0.1"} },
		"has no program for ": func(*release, func(string) string) []string { return []string{"--pkcs11"} },
		"is no version":       func(*release, func(string) string) []string { return []string{"--version", ".*"} },
		"has no SHA256SUMS": func(r *release, in func(string) string) []string {
			if err := os.Remove(in(list)); err != nil {
				r.t.Fatal(err)
			}
			return nil
		},
	} {
		t.Run(strings.TrimSpace(want), func(t *testing.T) {
			t.Parallel()
			r := newRelease(t)
			more := attack(r, func(name string) string { return filepath.Join(r.dir, name) })
			if talk, installed := r.install(more...); installed != "" || !strings.Contains(talk, strings.TrimSpace(want)) {
				t.Errorf("installed %q:\n%s", installed, talk)
			}
		})
	}
}

func TestALogHasOneListOfAVersion(t *testing.T) {
	r := newRelease(t)
	list := filepath.Join(r.dir, "SHA256SUMS")
	if err := os.Remove(list + ".tlog-proof"); err != nil {
		t.Fatal(err)
	}
	if err := r.append("none"); err != nil {
		t.Errorf("the same list again: %v", err)
	}
	r.change(list, "fleetctl_1.0.0", "fleetctl_0.9.0")
	if err := os.Remove(list + ".tlog-proof"); err != nil {
		t.Fatal(err)
	}
	if err := r.append("none"); err != nil {
		t.Errorf("the list of 0.9.0 as it was logged: %v", err)
	}
	r.change(list, "  fleetctl", "\n"+strings.Repeat("ab", 32)+"  fleetctl_0.9.0_more\n"+strings.Repeat("cd", 32)+"  fleetctl")
	if err := r.append("none"); err == nil {
		t.Error("a list that is none was taken")
	}
	r.write(list, []byte(strings.Repeat("ab", 32)+"  fleetctl_0.9.0_linux_amd64\n"))
	if err := r.append("none"); err == nil || !strings.Contains(err.Error(), "entry 0 of the log is about the same") {
		t.Errorf("another list of 0.9.0: %v", err)
	}
}

func TestAListOfAReleaseIsReadStrictly(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for list, want := range map[string]string{
		"":                              "last line has no end",
		sum:                             "last line has no end",
		sum + " fleetctl_1.0.0_x\n":     ":1: is not",
		sum + "  fleetctl_1.0_x\n":      ":1: is not",
		sum + "  ../fleetctl_1.0.0_x\n": ":1: is not",
		sum + "  fleetctl_1.0.0_a/b\n":  ":1: is not",
		sum + "  fleetctl_1.0.0_x\n" + sum + "  fleetctl_1.0.0_x\n": "again",
		sum + "  fleetctl_1.0.0_x\n" + sum + "  fleetctl_1.0.1_x\n": "the lines before",
		strings.Repeat(sum+"  fleetctl_1.0.0_x\n", 1000):            "longer than",
	} {
		if v, err := versionOf("SHA256SUMS", []byte(list)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", list, v, err)
		}
	}
	if v, err := versionOf("SHA256SUMS", []byte(sum+"  fleetctl_1.0.0-rc.1_x.exe\n"+sum+"  fleetctl_1.0.0-rc.1_y\n")); err != nil || v != "1.0.0-rc.1" {
		t.Errorf("%q, %v", v, err)
	}
}

// FuzzVersionOf: what is taken for a list is one, line by line, of one version.
func FuzzVersionOf(f *testing.F) {
	f.Add([]byte(strings.Repeat("0a", 32) + "  fleetctl_1.0.0_linux_amd64\n"))
	f.Fuzz(func(t *testing.T, list []byte) {
		version, err := versionOf("", list)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(list)) {
			if len(line) < 67 || !strings.HasPrefix(line[64:], "  fleetctl_"+version+"_") {
				t.Fatalf("%q is of version %q", line, version)
			}
		}
	})
}
