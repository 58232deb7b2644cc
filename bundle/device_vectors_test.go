package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The files of the example are what the helpers make: FLEETCTL_WRITE=1 writes
// them anew.
func TestTheExamplesFilesAreWhatTheySeem(t *testing.T) {
	leaf := must(os.ReadFile("testdata/verify/good.json"))
	for name, want := range map[string][]byte{
		"log.policy":           []byte("log " + logKey.vkey() + "\nwitness one " + witness1.vkey() + "\nwitness two " + witness2.vkey() + "\n" + both),
		"good.json.tlog-proof": logged(leaf, now, now),
	} {
		path := filepath.Join("testdata", "device", name)
		if os.Getenv("FLEETCTL_WRITE") == "1" {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := must(os.ReadFile(path)); !bytes.Equal(got, want) {
			t.Errorf("%s differs", path)
		}
	}
}
