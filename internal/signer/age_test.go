package signer

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestAnEncryptedKeySignsAndDamageIsTold(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pin, other, short := file("pin", "correct horse battery\n"), file("other", "wrong horse battery\n"), file("short", "short\n")
	key := filepath.Join(dir, "key.age")
	a := cli.New(strings.NewReader(""), io.Discard, io.Discard)
	a.Color, a.Format = "never", "text"
	if err := a.SetUp(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewAgeKey(a, key, "file:"+short); err == nil || !strings.Contains(err.Error(), "it has to have 12 at least") {
		t.Error(err)
	}
	made, err := NewAgeKey(a, key, "file:"+pin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewAgeKey(a, key, "file:"+pin); err == nil || !strings.Contains(err.Error(), "nothing is overwritten") && !strings.Contains(err.Error(), "exists") {
		t.Error(err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	data, err := os.ReadFile(key)
	if err != nil || bytes.Contains(data, []byte("PRIVATE")) || !isAge(data) {
		t.Fatalf("%s %v", data, err)
	}

	s, err := Open(a, key+"?pin-source=file:"+pin)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(keys.ForTest, []byte("message"))
	if err != nil || made.Verify(keys.ForTest, []byte("message"), sig) != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ ref, want string }{
		"another passphrase": {key + "?pin-source=file:" + other, "the passphrase does not open it"},
		"no terminal":        {key, "there is no terminal to type it at"},
		"cut off":            {file("cut.age", string(data[:len(data)-20])) + "?pin-source=file:" + pin, "is damaged"},
		"header cut off":     {file("head.age", ageHeader) + "?pin-source=file:" + pin, "is damaged"},
		"huge":               {file("huge.age", ageHeader+strings.Repeat("x", maxKeyFile)) + "?pin-source=file:" + pin, "at most 16384"},
		"no key in it":       {file("text.age", encrypted(t, "correct horse battery", "hello", true)) + "?pin-source=file:" + pin, "is no PKCS#8 PEM private key"},
		"source for nothing": {file("plain.pem", "x") + "?pin-source=file:" + pin, "is not encrypted"},
	} {
		if _, err := Open(a, c.ref); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	os.Chmod(key, 0o640)
	if _, err := Open(a, key+"?pin-source=file:"+pin); err == nil || !strings.Contains(err.Error(), "others can read") {
		t.Error(err)
	}
}

// encrypted is what age -p -a makes, with little work so that tests are quick.
func encrypted(t *testing.T, passphrase, text string, armored bool) string {
	t.Helper()
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(8)
	var b bytes.Buffer
	var out io.Writer = &b
	closeAll := func() error { return nil }
	if armored {
		w := armor.NewWriter(&b)
		out, closeAll = w, w.Close
	}
	w, err := age.Encrypt(out, to)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closeAll(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAKeyMadeByOpenSSLAndAgeIsAsGood(t *testing.T) {
	pem, err := exec.Command("openssl", "genpkey", "-algorithm", "ed25519").Output()
	if err != nil {
		t.Skipf("openssl: %v", err)
	}
	dir := t.TempDir()
	pin, key := filepath.Join(dir, "pin"), filepath.Join(dir, "key.age")
	os.WriteFile(pin, []byte("correct horse battery"), 0o600)
	for _, armored := range []bool{false, true} {
		os.WriteFile(key, []byte(encrypted(t, "correct horse battery", string(pem), armored)), 0o600)
		a := cli.New(strings.NewReader(""), io.Discard, io.Discard)
		if _, err := Open(a, key+"?pin-source="+pin); err != nil {
			t.Errorf("armored %v: %v", armored, err)
		}
	}
}
