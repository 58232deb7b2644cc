package fleetctl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// unfuzzed are the parsers of a folder that no fuzz target reaches: an exported
// one through the folder's test code alone, another one through its other code too.
func unfuzzed(t *testing.T, files map[string]string) (list []string) {
	t.Helper()
	parsers, inner := map[string]bool{}, map[string]bool{}
	names := map[string][]string{} // what a top-level declaration of the tests mentions
	code := map[string][]string{}  // what the other functions mention
	var queue []string
	for name, text := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !strings.HasSuffix(name, "_test.go") {
					if d.Recv == nil && strings.HasPrefix(d.Name.Name, "Parse") {
						parsers[d.Name.Name] = true
					}
					if d.Recv == nil && strings.HasPrefix(d.Name.Name, "parse") {
						inner[d.Name.Name] = true
					}
					code[d.Name.Name] = append(code[d.Name.Name], mentions(d)...)
					if d.Recv != nil { // a mention of a type reaches its methods
						for _, of := range mentions(d.Recv.List[0].Type) {
							code[of] = append(code[of], d.Name.Name)
						}
					}
					continue
				}
				names[d.Name.Name] = mentions(d)
				if strings.HasPrefix(d.Name.Name, "Fuzz") {
					queue = append(queue, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && strings.HasSuffix(name, "_test.go") {
						names[v.Names[0].Name] = mentions(v)
					}
				}
			}
		}
	}
	reached := func(from ...map[string][]string) map[string]bool {
		seen := map[string]bool{}
		for todo := slices.Clone(queue); len(todo) > 0; todo = todo[1:] {
			if n := todo[0]; !seen[n] {
				seen[n] = true
				for _, m := range from {
					todo = append(todo, m[n]...)
				}
			}
		}
		return seen
	}
	for _, check := range []struct{ parsers, seen map[string]bool }{{parsers, reached(names)}, {inner, reached(names, code)}} {
		for p := range check.parsers {
			if !check.seen[p] {
				list = append(list, p)
			}
		}
	}
	slices.Sort(list)
	return list
}

func mentions(n ast.Node) (list []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			list = append(list, id.Name)
		}
		return true
	})
	return list
}

func TestEveryParserIsFuzzed(t *testing.T) {
	for dir, files := range sources(t) {
		texts := map[string]string{}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			texts[f] = string(data)
		}
		for _, p := range unfuzzed(t, texts) {
			if strings.HasPrefix(p, "parse") && !slices.Contains(verifiers, dir) {
				continue // what verifies is fuzzed down to its last parser
			}
			t.Errorf("%s.%s is mentioned by no fuzz target of its folder", dir, p)
		}
	}
}

func TestTheFuzzCheckCanFail(t *testing.T) {
	got := unfuzzed(t, map[string]string{
		"a.go":      "package a\nfunc ParseA() { parseE() }\nfunc ParseB() {}\nfunc ParseC() { parseF() }\ntype T int\nfunc (T) ParseD() { parseG() }\nfunc parseG() {}\nfunc parseE() {}\nfunc parseF() {}\n",
		"a_test.go": "package a\nfunc FuzzA() { helper(T(0)) }\nfunc helper() { ParseA() }\nvar table = ParseB\nfunc TestC() { ParseC() }\n",
	})
	if !slices.Equal(got, []string{"ParseB", "ParseC", "parseF"}) {
		t.Errorf("got %q", got)
	}
}
