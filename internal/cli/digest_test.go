package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/state"
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
