//go:build cgo && unix

package hsm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

const (
	softHSM = "/usr/lib/softhsm/libsofthsm2.so"
	userPIN = "canary-4711-user"
	soPIN   = "canary-4712-so"
)

// TestMain gives SoftHSM one directory for all tests: it reads its
// configuration once per process, when it is initialised.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hsm-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	conf := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", dir)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700), os.WriteFile(conf, []byte(text), 0o600), os.Setenv("SOFTHSM2_CONF", conf)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// need skips without the file, except in CI, where a skip would hide that
// nothing was tested.
func need(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI must have it", path)
	}
	t.Skipf("%s is not installed", path)
}

// softKinds are the kinds of keys that Debian's SoftHSM makes: not ML-DSA.
var softKinds = []keys.Algorithm{keys.Ed25519, keys.P256, keys.P384, keys.X25519, keys.RSA3072, keys.ECDHP256}

func soft(t testing.TB, opt Options) *Module {
	t.Helper()
	need(t, softHSM)
	return open(t, softHSM, opt)
}

func open(t testing.TB, path string, opt Options) *Module {
	t.Helper()
	m, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, m.Close()) })
	return m
}

// fresh initialises a token of its own for a test, and logs in.
func fresh(t testing.TB, m *Module) *Token {
	t.Helper()
	label := newLabel(t)
	_, err := m.InitToken(Init{Label: label, SOPIN: []byte(soPIN), UserPIN: []byte(userPIN)})
	check(t, err)
	return session1(t, m, label)
}

func session1(t testing.TB, m *Module, label string) *Token {
	t.Helper()
	tok, err := m.Token(Selector{Label: label})
	check(t, err)
	t.Cleanup(func() { check(t, tok.Close()) })
	if err := tok.Login([]byte(userPIN)); err != nil && !errors.Is(err, ErrAlreadyLoggedIn) {
		t.Fatal(err)
	}
	return tok
}

func newLabel(t testing.TB) string { return "test-" + fmt.Sprintf("%x", newID(t)[:8]) }

func newID(t testing.TB) []byte {
	t.Helper()
	id := make([]byte, 16)
	_, err := rand.Read(id)
	check(t, err)
	return id
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails unless err is want.
func wants(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want: %v", err, want)
	}
}

// spec is the template that a ceremony uses.
func spec(alg string, id []byte) token.KeySpec {
	s := token.KeySpec{
		Algorithm: alg, ID: id, Label: "rehearsal-key",
		Attributes: []token.Setting{
			{Name: token.Token, Value: true}, {Name: token.Private, Value: true},
			{Name: token.Sensitive, Value: true}, {Name: token.Extractable, Value: false},
			{Name: token.Sign, Value: keys.Algorithm(alg).CanSign()}, {Name: token.Decrypt, Value: false},
			{Name: token.Unwrap, Value: false}, {Name: token.Derive, Value: !keys.Algorithm(alg).CanSign()},
			{Name: token.Modifiable, Value: false}, {Name: token.Copyable, Value: false},
			{Name: token.Destroyable, Value: true}, {Name: token.SignRecover, Value: false},
		},
		Optional: []string{token.Copyable, token.Destroyable, token.SignRecover},
	}
	if k := keys.Algorithm(alg); k.IsMLKEM() {
		s = with(s, token.Derive, false)
		s.Attributes = append(s.Attributes, token.Setting{Name: token.Decapsulate, Value: true})
	}
	return s
}

// with changes one attribute of a spec.
func with(s token.KeySpec, name string, value bool) token.KeySpec {
	list := make([]token.Setting, len(s.Attributes))
	copy(list, s.Attributes)
	for i := range list {
		if list[i].Name == name {
			list[i].Value = value
		}
	}
	s.Attributes = list
	return s
}

func generate(t testing.TB, tok *Token, s token.KeySpec) token.Generated {
	t.Helper()
	out, err := tok.Generate(s)
	check(t, err)
	return out
}

// copyOf is another file of the same library, so another library to the
// process: its state is its own.
func copyOf(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	to := filepath.Join(t.TempDir(), "copy.so")
	check(t, os.WriteFile(to, data, 0o600))
	return to
}

// proxy builds testdata/proxy.c around a SoftHSM of its own.
func proxy(t testing.TB) string {
	t.Helper()
	need(t, softHSM)
	t.Setenv("PROXY_MODULE", copyOf(t, softHSM))
	to := filepath.Join(t.TempDir(), "proxy.so")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-o", to, "testdata/proxy.c", "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	check(t, os.Chmod(to, 0o700))
	return to
}
