package cli

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/qr"
)

func TestADigestIsNamedAndNeverGuessed(t *testing.T) {
	t.Chdir(t.TempDir())
	put := func(name string, data []byte) string {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	}
	draw := func(name, text string) {
		t.Helper()
		png, err := qr.PNG(text)
		if err != nil {
			t.Fatal(err)
		}
		put(name, png)
	}
	plan := put("plan.yaml", []byte("a plan\n"))
	put("my plan.yaml", []byte("another\n"))
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	set := put(filepath.Join("folder", "set"), []byte("a set\n"))
	s := state.State{Record: 7, Head: [32]byte{1}, Step: 3}
	draw("head.png", s.String())
	s.Wants, s.Subject = state.Words, [32]byte{2}
	draw("words.png", s.String())
	draw("hex.png", strings.ToUpper(plan))
	draw("other.png", "https://example.com")
	frames, err := qr.Split([]byte("a plan\n"))
	if err != nil {
		t.Fatal(err)
	}
	draw("frame.png", frames[0])
	for _, c := range []struct {
		args   string
		asFile bool
		want   string // the digest, or what the error says
	}{
		{"plan.yaml", false, plan},
		{plan, false, plan},
		{strings.ToUpper(plan[:20]) + "|" + plan[20:], false, plan},
		{plan[:16], false, plan},
		{plan[:4] + " " + plan[4:16], false, plan},
		{plan[:16] + "|my plan.yaml|plan.yaml", false, plan},
		{set[:17] + "|folder", false, set},
		{set[:16] + "|plan.yaml|folder", false, set},
		{"words.png", false, hex.EncodeToString(s.Subject[:])},
		{"head.png", false, hex.EncodeToString(s.Head[:])},
		{"hex.png", false, plan},
		{"frame.png", false, plan},
		{set[:16], false, "no file among . ("},
		{plan[:15], false, "is too short to say which digest it begins: it has 15 digits"},
		{"00", false, "is too short"},
		{plan + "0", false, "has 65 digits"},
		{plan[:16] + "|nowhere", false, "is neither a file nor a digest in hex"},
		{"plan.yaml|folder", false, "is neither a file nor a digest in hex"},
		{"nonsense", false, "is neither a file nor a digest in hex"},
		{"other.png", false, "has a QR code with no digest in it"},
	} {
		d, err := NamedDigest(strings.Split(c.args, "|"), c.asFile)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		case err == nil && hex.EncodeToString(d.Sum[:]) != c.want:
			t.Errorf("%q: %x, of %s, want %q", c.args, d.Sum, d.What, c.want)
		}
	}
	if d, err := NamedDigest([]string{"words.png"}, true); err != nil || d.What != "words.png" {
		t.Errorf("a picture as a file: %v, %v", d, err)
	}
}

// FuzzNamedDigest: where there is no file, only a whole digest is one.
func FuzzNamedDigest(f *testing.F) {
	f.Add("8c1f 02de")
	f.Add(strings.Repeat("0a", 32))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, typed string) {
		t.Chdir(dir)
		d, err := NamedDigest([]string{typed}, false)
		if err == nil && hex.EncodeToString(d.Sum[:]) != strings.ToLower(strings.Join(strings.Fields(typed), "")) && !isThere(typed) {
			t.Fatalf("%q is taken for %x, of %s", typed, d.Sum, d.What)
		}
	})
}

func isThere(name string) bool { _, err := os.Stat(name); return err == nil }

// The words of a key are compared over the telephone: they may not depend on how a file
// is written.
func TestTheDigestOfAPublicKeyIsTheKeys(t *testing.T) {
	raw := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	k, err := keys.FromEd25519(raw)
	if err != nil {
		t.Fatal(err)
	}
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), raw...)
	line := "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob)
	spki := base64.StdEncoding.EncodeToString(k.SPKI())
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.pub": line + " somebody@somewhere\n", "b.pub": line + "\r\n", "c.pub": line, "d.pub": spki + "\n", "e.pub": spki,
		"f.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.SPKI()})),
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := NamedDigest([]string{file}, false)
		if err != nil || d.Sum != k.Fingerprint() {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		if d, err := NamedDigest([]string{file}, true); err != nil || d.Sum != sha256.Sum256([]byte(text)) {
			t.Errorf("%s as a file: %+v, %v", name, d, err)
		}
	}
	two := filepath.Join(dir, "two.pub")
	if err := os.WriteFile(two, []byte(spki+"\n"+spki+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := NamedDigest([]string{two}, false); err != nil || d.What != two {
		t.Errorf("two keys: %+v, %v", d, err)
	}
	// A private key beside a file keeps nobody from finding that file.
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(spki))
	if d, err := NamedDigest([]string{hex.EncodeToString(sum[:8]), dir}, false); err != nil || d.Sum != sum {
		t.Errorf("%+v, %v", d, err)
	}
}
