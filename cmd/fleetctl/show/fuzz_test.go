package show

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// FuzzShow: whatever the bytes, show gives an explanation or an error.
func FuzzShow(f *testing.F) {
	seeds := 0
	err := filepath.WalkDir(testfleet.New(f, testfleet.Options{To: testfleet.ToLogged}).Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && len(data) < 1<<14 {
			f.Add(data)
			seeds++
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	if seeds < 10 {
		f.Fatalf("a fleet has only %d small files", seeds)
	}
	f.Add([]byte("format: fleetctl plan v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := explainFile("file", data)
		if (s == nil) && err == nil {
			t.Error("neither an explanation nor an error")
		}
		if err == nil {
			a := cli.New(strings.NewReader(""), nil, nil)
			a.Format = "text"
			if err := a.SetUp(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(shownText(a, s), "nothing here was verified") {
				t.Error("show doesn't say that it verified nothing")
			}
		}
	})
}
