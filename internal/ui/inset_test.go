package ui

import (
	"strings"
	"testing"
)

func TestWhatIsInsetKeepsTheMarginAndTheWidth(t *testing.T) {
	p := Page{width: 60}
	text := p.Inset(func(p Page) string {
		return p.Fields([][2]string{{"otherwise", strings.Repeat("a word ", 20)}}) + "\n" + p.Table([]string{"name", "part"}, [][]string{{"olga", "officer"}})
	})
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 5 {
		t.Fatalf("%q", text)
	}
	for _, line := range lines {
		if line != "" && !strings.HasPrefix(line, margin) || width(line) > p.width || line != strings.TrimRight(line, " ") {
			t.Errorf("%q of %d columns", line, width(line))
		}
	}
}
