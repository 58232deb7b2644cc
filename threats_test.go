package fleetctl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

// requirement is a row of docs/threat-model.md: what is required, the claims that
// answer it, the functions that do, and the tests that show it.
type requirement struct {
	what                string
	claims, code, tests []string
	every               bool // it is about every claim
}

var inQuotes = regexp.MustCompile("`([^`]+)`")

func quotes(cell string) (list []string) {
	for _, m := range inQuotes.FindAllStringSubmatch(cell, -1) {
		list = append(list, m[1])
	}
	return list
}

func requirements(t *testing.T) (list []requirement) {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "docs/threat-model.md"), "\n| requirement | claims | code | tests |\n|---|---|---|---|\n")
	if !ok {
		t.Fatal("docs/threat-model.md has no table of requirements")
	}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| ") || len(f) != 4 {
			t.Fatalf("docs/threat-model.md has the row %q", line)
		}
		list = append(list, requirement{what: strings.TrimPrefix(f[0], "| "), claims: quotes(f[1]), code: quotes(f[2]), tests: quotes(f[3]), every: f[1] == "every claim"})
		if r := list[len(list)-1]; len(r.claims) == 0 && !r.every && f[1] != "none" {
			t.Errorf("%q: the claims are %q", r.what, f[1])
		}
	}
	return list
}

// functions are those of a file, each with what it calls.
func functions(t *testing.T, file string) map[string]*ast.FuncDecl {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]*ast.FuncDecl{}
	for _, d := range tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			list[f.Name.Name] = f
		}
	}
	return list
}

// isTest says whether a function is one that `go test` runs, and that does something.
func isTest(f *ast.FuncDecl) bool {
	if f == nil || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || len(f.Body.List) == 0 || len(f.Type.Params.List) != 1 {
		return false
	}
	p, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	x, ok := p.X.(*ast.SelectorExpr)
	return ok && x.Sel.Name == "T"
}

// The threat model names what there is: claims, functions, tests.
func TestTheThreatModelNamesWhatThereIs(t *testing.T) {
	list := requirements(t)
	if len(list) < 30 {
		t.Errorf("only %d requirements", len(list))
	}
	known, answered := evidence.ClaimNames(), map[string]bool{}
	for _, r := range list {
		for _, c := range r.claims {
			answered[c] = true
			if !slices.Contains(known, c) {
				t.Errorf("%q: there is no claim %s", r.what, c)
			}
		}
		if len(r.code) == 0 || len(r.tests) == 0 {
			t.Errorf("%q has no code or no test", r.what)
		}
		for _, at := range r.code {
			file, name, _ := strings.Cut(at, ":")
			if functions(t, file)[name] == nil {
				t.Errorf("%q: %s has no function %s", r.what, file, name)
			}
		}
		for _, at := range r.tests {
			file, name, _ := strings.Cut(at, ":")
			if !strings.HasSuffix(file, "_test.go") || !isTest(functions(t, file)[name]) {
				t.Errorf("%q: %s has no test %s", r.what, file, name)
			}
		}
	}
	spec := sections(t)["18.2"]
	for _, c := range known {
		if !answered[c] {
			t.Errorf("no requirement of docs/threat-model.md is answered by the claim %s", c)
		}
		if !strings.Contains(spec, "| `"+c+"` |") {
			t.Errorf("SPEC 18.2 has no row for the claim %s", c)
		}
	}
}

// Every claim that the model names anywhere is one, so that no row promises another.
func TestTheThreatModelPromisesNoOtherClaim(t *testing.T) {
	text, _, _ := strings.Cut(read(t, "docs/threat-model.md"), "\n## Requirements, code, tests\n")
	_, table, ok := strings.Cut(text, "\n## Who can do what\n")
	table, _, _ = strings.Cut(table, "\n## ")
	if !ok {
		t.Fatal("docs/threat-model.md doesn't say who can do what")
	}
	known, named := evidence.ClaimNames(), 0
	for _, word := range quotes(table) {
		if strings.Contains(word, ".") && !strings.Contains(word, "/") && !strings.HasSuffix(word, ".go") {
			if named++; !slices.Contains(known, word) {
				t.Errorf("docs/threat-model.md names %s, which is no claim", word)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d claims are named", named)
	}
}
