//go:build unix

package sshkey_test

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
	"github.com/fleetctl/fleetctl/internal/sshsig/sshkey"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func device(t testing.TB) *sktest.Device {
	t.Helper()
	d, err := sktest.New(sktest.Ed25519, "ssh:")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// container is a key file's outside.
type container struct {
	Cipher, KDF     string
	Options         []byte
	Count           uint32
	Public, Private []byte
}

// altered rewrites a key file's outside.
func altered(t testing.TB, file []byte, change func(*container)) []byte {
	t.Helper()
	const magic = "openssh-key-v1\x00"
	b, _ := pem.Decode(file)
	var c container
	if err := ssh.Unmarshal(b.Bytes[len(magic):], &c); err != nil {
		t.Fatal(err)
	}
	change(&c)
	b.Bytes = append([]byte(magic), ssh.Marshal(c)...)
	return pem.EncodeToMemory(b)
}

func withPublic(t testing.TB, file, blob []byte) []byte {
	return altered(t, file, func(c *container) { c.Public = blob })
}

func withRounds(t testing.TB, file []byte, n uint32) []byte {
	return altered(t, file, func(c *container) { binary.BigEndian.PutUint32(c.Options[len(c.Options)-4:], n) })
}

// startAgent starts OpenSSH's ssh-agent and gives its socket.
func startAgent(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // a socket's path is short; t.TempDir's may not be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	agent := await.Start(t, exec.Command(tool(t, "ssh-agent"), "-D", "-a", socket))
	// Its socket is there before it listens.
	if !agent.Until(func() bool { return dials(socket) }) {
		t.Fatalf("ssh-agent does not listen; ended: %v", agent.Ended())
	}
	return socket
}

func dials(socket string) bool {
	a, err := sshkey.DialAgent(socket)
	if err == nil {
		a.Close()
	}
	return err == nil
}

func add(t *testing.T, socket string, args ...string) {
	t.Helper()
	cmd := exec.Command(tool(t, "ssh-add"), args...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v\n%s", err, out)
	}
}

func TestOpenSSHsAgentSigns(t *testing.T) {
	socket := startAgent(t)
	a, err := sshkey.DialAgent(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if list, err := a.Keys(); err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	add(t, socket, "-q", keygen(t, "", "-t", "rsa", "-b", "2048")) // which isn't shown
	for name, args := range types {
		private := keygen(t, "", args...)
		key := pubOf(t, private)
		if s, err := a.Signer(key); err == nil || s != nil {
			t.Errorf("%s: is there before it was added", name)
		}
		add(t, socket, "-q", private)
		signer, err := a.Signer(key)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			s, err := signer.Sign(plan, message)
			if err != nil {
				t.Fatal(err)
			}
			checked(t, s, signer.Key())
		}
	}
	if list, err := a.Keys(); err != nil || len(list) != len(types) {
		t.Errorf("%v, %v", list, err)
	}
	// Removed between choice and signature.
	list, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := a.Signer(list[0])
	if err != nil {
		t.Fatal(err)
	}
	add(t, socket, "-q", "-D")
	s, err := signer.Sign(plan, message)
	var e *strict.Error
	if s != nil || !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("%v, %v", s, err)
	}
}

// What a third party signs is no SSHSIG: the agent signs the statement's bytes.
func TestOpenSSHsAgentSignsBytesAsTheyAre(t *testing.T) {
	socket := startAgent(t)
	a, err := sshkey.DialAgent(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, args := range types {
		private := keygen(t, "", args...)
		key := pubOf(t, private)
		if sign, err := a.Raw(key); err == nil || sign != nil {
			t.Errorf("%s: is there before it was added", name)
		}
		add(t, socket, "-q", private)
		sign, err := a.Raw(key)
		pub, plain := key.Ed25519()
		if plain != (key.Type() == "ssh-ed25519") {
			t.Fatal(key.Type())
		}
		if !plain {
			if sign != nil || err == nil || !strings.Contains(err.Error(), "only ssh-ed25519 signs what an auditor signs") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range [][]byte{nil, {8, 1, 18, 2}, []byte("SSHSIG"), make([]byte, 5000)} {
			sig, err := sign(msg)
			if err != nil || !ed25519.Verify(pub, msg, sig) {
				t.Errorf("%d bytes: %x, %v", len(msg), sig, err)
			}
		}
		add(t, socket, "-q", "-D")
		if sig, err := sign(message); sig != nil || err == nil || !strings.Contains(err.Error(), "ssh-agent did not sign") {
			t.Errorf("removed: %v", err)
		}
	}
	// A FIDO2 key signs its counter and flags too, whatever is asked of it.
	d := device(t)
	if sign, err := serve(t, &fakeAgent{keys: [][]byte{d.Blob()}, sign: d.SignBytes}).Raw(d.Key()); sign != nil || err == nil {
		t.Errorf("a device: %v", err)
	}
	if sign, err := a.Raw(nil); sign != nil || err == nil {
		t.Error("no key signs")
	}
}

func TestAnAgentThatLiesAboutBytesIsFoundOut(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	blob := ssh.Marshal(struct{ Type, Key string }{"ssh-ed25519", string(pub)})
	named, err := sshsig.ParseBlob(blob)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(format string, blob []byte, more ...byte) ([]byte, error) {
		return append(ssh.Marshal(ssh.Signature{Format: format, Blob: blob}), more...), nil
	}
	for name, c := range map[string]struct {
		sign func([]byte) ([]byte, error)
		ok   bool
	}{
		"honest":          {func(b []byte) ([]byte, error) { return answer("ssh-ed25519", ed25519.Sign(key, b)) }, true},
		"another key":     {func(b []byte) ([]byte, error) { return answer("ssh-ed25519", ed25519.Sign(other, b)) }, false},
		"another text":    {func(b []byte) ([]byte, error) { return answer("ssh-ed25519", ed25519.Sign(key, append(b, 0))) }, false},
		"another type":    {func(b []byte) ([]byte, error) { return answer("ssh-rsa", ed25519.Sign(key, b)) }, false},
		"bytes behind it": {func(b []byte) ([]byte, error) { return answer("ssh-ed25519", ed25519.Sign(key, b), 0) }, false},
		"no signature":    {func([]byte) ([]byte, error) { return answer("ssh-ed25519", nil) }, false},
		"a refusal":       {func([]byte) ([]byte, error) { return nil, errors.New("no") }, false},
	} {
		sign, err := serve(t, &fakeAgent{keys: [][]byte{blob}, sign: c.sign}).Raw(named)
		if err != nil {
			t.Fatal(err)
		}
		if sig, err := sign(message); (err == nil) != c.ok || (sig != nil) != c.ok {
			t.Errorf("%s: %x, %v", name, sig, err)
		}
	}
}

// fakeAgent signs with whatever function it has, in the name of any key.
type fakeAgent struct {
	agent.Agent
	keys [][]byte
	sign func([]byte) ([]byte, error)
}

func (f *fakeAgent) List() (list []*agent.Key, err error) {
	for _, b := range f.keys {
		list = append(list, &agent.Key{Format: "x", Blob: b})
	}
	return list, nil
}

func (f *fakeAgent) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	b, err := f.sign(data)
	if err != nil {
		return nil, err
	}
	sig := new(ssh.Signature)
	return sig, ssh.Unmarshal(b, sig)
}

func serve(t *testing.T, f *fakeAgent) *sshkey.Agent {
	t.Helper()
	ours, its := net.Pipe()
	go func() { _ = agent.ServeAgent(f, its) }()
	a := sshkey.NewAgent(ours)
	t.Cleanup(func() { a.Close(); its.Close() })
	return a
}

// FIDO2 keys sign through an agent. There is no device here: the agent's other
// end is the stand-in of package sktest.
func TestADeviceSignsThroughAnAgent(t *testing.T) {
	for _, typ := range []string{sktest.Ed25519, sktest.P256} {
		d, err := sktest.New(typ, "ssh:fleet")
		if err != nil {
			t.Fatal(err)
		}
		a := serve(t, &fakeAgent{keys: [][]byte{d.Blob()}, sign: d.SignBytes})
		signer, err := a.Signer(d.Key())
		if err != nil {
			t.Fatal(err)
		}
		s, err := signer.Sign(plan, message)
		if err != nil {
			t.Fatal(err)
		}
		checked(t, s, d.Key())
		d.Flags = 0
		if s, err := signer.Sign(plan, message); s != nil || err == nil || !strings.Contains(err.Error(), "nobody touched the FIDO2 device") {
			t.Errorf("untouched: %v", err)
		}
	}
}

func TestAnAgentThatLiesIsFoundOut(t *testing.T) {
	d, other := device(t), device(t)
	lies := map[string]func([]byte) ([]byte, error){
		"another key signs": other.SignBytes,
		"another text":      func(b []byte) ([]byte, error) { return d.SignBytes(append(b, 0)) },
		"no signature":      func([]byte) ([]byte, error) { return ssh.Marshal(ssh.Signature{}), nil },
		"bytes behind it":   func(b []byte) ([]byte, error) { s, err := d.SignBytes(b); return append(s, 0), err },
		"a refusal":         func([]byte) ([]byte, error) { return nil, errors.New("no") },
		"a plain key's type": func([]byte) ([]byte, error) {
			return ssh.Marshal(ssh.Signature{Format: "ssh-ed25519", Blob: make([]byte, 64)}), nil
		},
	}
	for name, lie := range lies {
		signer, err := serve(t, &fakeAgent{keys: [][]byte{d.Blob()}, sign: lie}).Signer(d.Key())
		if err != nil {
			t.Fatal(err)
		}
		if s, err := signer.Sign(plan, message); err == nil || s != nil {
			t.Errorf("%s: %v", name, s)
		}
	}
}

func TestAnAgentWithoutTheKey(t *testing.T) {
	d := device(t)
	rsa := ssh.Marshal(struct{ Type, E, N string }{"ssh-rsa", "\x01\x00\x01", "\x7f"})
	a := serve(t, &fakeAgent{keys: [][]byte{rsa, d.Blob()}})
	if list, err := a.Keys(); err != nil || len(list) != 1 || !list[0].Equal(d.Key()) {
		t.Errorf("%v, %v", list, err)
	}
	if s, err := a.Signer(device(t).Key()); s != nil || err == nil || !strings.HasPrefix(err.Error(), "ssh-agent does not have the key SHA256:") {
		t.Error(err)
	}
	if s, err := a.Signer(nil); s != nil || err == nil {
		t.Error("no key is found")
	}
	a.Close()
	if list, err := a.Keys(); err == nil || list != nil {
		t.Error("a closed agent lists keys")
	}
}

func TestNoAgent(t *testing.T) {
	for _, socket := range []string{"", filepath.Join(t.TempDir(), "none")} {
		a, err := sshkey.DialAgent(socket)
		var e *strict.Error
		if a != nil || !errors.As(err, &e) || !strings.Contains(e.Hint, "ssh-agent") {
			t.Errorf("%q: %v", socket, err)
		}
	}
}
