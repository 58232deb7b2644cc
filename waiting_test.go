package fleetctl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// paced are the test files that pause, and why: none of them waits for something
// to have happened, for which there is internal/await.
var paced = map[string]string{
	"auditlog/tiled/process_test.go":        "a benchmark: commands are that far apart",
	"cmd/fleetctl/log_beside_bench_test.go": "a benchmark: commands are that far apart",
	"cmd/fleetctl/log_size_bench_test.go":   "a benchmark: commands are that far apart",
	"cmd/fleetctl/canary_test.go":           "the pace at which processes are looked at, as long as they run",
	"cmd/fleetctl/kill_test.go":             "the pace at which records are counted: they are closer together than await looks",
	"internal/await/await_test.go":          "shows that sleeping takes no processor time",
}

// waits are the calls by which a test waits for a time.
func waits(t *testing.T, name string, text any) (list []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				switch call := x.Name + "." + s.Sel.Name; call {
				case "time.Sleep", "context.WithTimeout", "context.WithDeadline":
					list = append(list, call)
				}
			}
		}
		return true
	})
	return list
}

// On a machine that is busy everything takes longer than anybody thought.
func TestTestsWaitForEventsAndNotForATime(t *testing.T) {
	seen := map[string]bool{}
	for _, files := range sources(t) {
		for _, name := range files {
			if !strings.HasSuffix(name, "_test.go") {
				continue
			}
			if list := waits(t, name, nil); len(list) > 0 {
				seen[name] = true
				if paced[name] == "" {
					t.Errorf("%s: %v: wait for the event itself, by internal/await", name, list)
				}
			}
		}
	}
	for name := range paced {
		if !seen[name] {
			t.Errorf("%s doesn't pause any more: take it off the list", name)
		}
	}
	if got := waits(t, "x_test.go", "package x\nfunc f() { time.Sleep(1); _, _ = context.WithTimeout(nil, 1); await.Until(nil, \"\", nil) }"); len(got) != 2 {
		t.Errorf("the check finds %v", got)
	}
}
