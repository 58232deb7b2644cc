package attesttest

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
)

type named string

func (n named) Format() string { return string(n) }
func (n named) Parts() []attest.PartRule {
	return []attest.PartRule{{Name: "p", What: "the part", Optional: true}}
}
func (n named) Verify(attest.Input) (*attest.Claims, error) { return nil, nil }

func TestAFormatsRowAndSectionAreWrittenInTheirPlace(t *testing.T) {
	text := "# head\n\n" + tableHead + tableEnd
	suite := func(name string, n int) *Suite {
		return &Suite{Verifier: named(name), Device: "d", Hostile: make([]Hostile, n), Without: map[string]string{GzipBomb: "not packed"}}
	}
	for _, s := range []*Suite{suite("b", 1), suite("c", 0), suite("a", 2), suite("b", 2), suite("b", 2)} {
		next, err := s.into(text)
		if err != nil {
			t.Fatal(err)
		}
		text = next
	}
	rows := "# head\n\n" + tableHead + "| [`a`](#a) | d | 0 | 2 |\n| [`b`](#b) | d | 0 | 2 |\n| [`c`](#c) | d | 0 | 0 |\n" + tableEnd + "\n## a\n\nd. Parts of its evidence:\n\n- `p` (optional): the part\n"
	if !strings.HasPrefix(text, rows) || strings.Count(text, "\n## ") != 3 || strings.Count(text, "| none | gzip bomb | not packed |") != 3 {
		t.Errorf("got %s", text)
	}
	if _, err := suite("a", 0).into("# head\n"); err == nil {
		t.Error("a document without a table was taken")
	}
}
