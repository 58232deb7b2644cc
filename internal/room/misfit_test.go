package room

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
)

// TestAMisfitIsNamedOnceWithWhy: another content under the same name is another file,
// and what the room put there itself is none.
func TestAMisfitIsNamedOnceWithWhy(t *testing.T) {
	r, screen := roomAt(t, "")
	r.Exchange, r.seen, r.told = t.TempDir(), map[[32]byte]bool{}, map[[32]byte]bool{}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(r.Exchange, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := ceremony.NewAccount(&ceremony.Plan{})
	tell := func() (said string) {
		before := screen.Len()
		r.tellMisfits("response.json", func(file string, data []byte) string { return r.unfitAnswer(a, file, data) })
		return strings.Join(strings.Fields(screen.String()[before:]), " ")
	}
	put("open-after-7.txt", "fleetctl approval v1\n")
	put("request.json", "{}")
	put(".hidden", "x")
	if said := tell(); said != "" {
		t.Errorf("what belongs there is named: %s", said)
	}
	put("response.json", "{}\n")
	put("notes.odt", "hello")
	said := tell()
	for _, want := range []string{"response.json is not taken: line 1: namespace is missing, and 4 more", "notes.odt is not taken: it is nothing that the room knows", "Expected: response.json."} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said: %s", want, said)
		}
	}
	if again := tell(); again != "" {
		t.Errorf("it is named again: %s", again)
	}
	put("response.json", "{\"format\": 1}\n")
	if said := tell(); !strings.Contains(said, "response.json is not taken") || strings.Contains(said, "notes.odt") {
		t.Errorf("another content: %s", said)
	}
}
