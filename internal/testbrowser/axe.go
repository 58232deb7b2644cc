package testbrowser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Axe is the source of axe-core, which scripts/axe fetches. Where it isn't there the
// test is skipped, but in CI.
func Axe(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(t, err)
	data, err := os.ReadFile(filepath.Join(cache, "fleetctl", "axe-4.14.1", "axe.min.js"))
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("axe-core is missing: scripts/axe fetches it")
	}
	must(t, err)
	return string(data)
}

// Barriers are what axe-core finds on a page that is serious or worse: what keeps
// somebody out.
func (p *Page) Barriers(axe string) []string {
	p.t.Helper()
	p.Eval(axe+";0", nil)
	var found []struct {
		ID, Impact string
		Nodes      []struct{ HTML, FailureSummary string }
	}
	p.Eval(`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations)`, &found)
	var list []string
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			list = append(list, fmt.Sprintf("%s, %s, %d times: %s: %s", v.ID, v.Impact, len(v.Nodes), v.Nodes[0].HTML, v.Nodes[0].FailureSummary))
		}
	}
	return list
}
