package formats_test

import (
	"os"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/formats"
)

func TestEachFormatHasItsRowInTheDocument(t *testing.T) {
	data, err := os.ReadFile(attesttest.Document(t))
	if err != nil {
		t.Fatal(err)
	}
	list := formats.All().Formats()
	for _, f := range list {
		if !strings.Contains(string(data), "\n| [`"+f+"`](#"+f+") |") || !strings.Contains(string(data), "\n## "+f+"\n") {
			t.Errorf("%s: no row or no section: its test runs attesttest.Run", f)
		}
	}
	if n := strings.Count(string(data), "\n| [`"); n != len(list) {
		t.Errorf("%d rows for %d formats", n, len(list))
	}
}
