package ui

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/words"
)

// FuzzScreens puts the same text wherever text can be put.
func FuzzScreens(f *testing.F) {
	f.Add("ok", 80)
	f.Add("\x1b[2J\r\n\u202e東京\xff", 61)
	f.Fuzz(func(t *testing.T, s string, cols int) {
		p := testOutput(t, Options{Width: cols, Color: "never"}).Page
		all := p.Header(s, s) + p.Footer(s) + p.Fields([][2]string{{s, s}}) + p.Line(s) +
			p.Claims([]ClaimLine{{Grade: s, Name: s, Detail: s, More: []string{s}}}) +
			p.Verdict(true, s) + p.Step(Done, s, s) + p.prompt(s) + p.Style(Proven, s) +
			p.Table([]string{s, s}, [][]string{{s, s, s}, {s}})
		for line := range strings.Lines(all) {
			if line = strings.TrimSuffix(line, "\n"); words.Clean(line) != line {
				t.Errorf("%q", line)
			}
		}
	})
}
