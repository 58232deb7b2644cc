package fleetctl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// libraryAPI has each promised name with its signature, and each field of the
// promised types, a line each.
const libraryAPI = "docs/library.api"

// promised are the names in the table of docs/library.md: package, name, and
// the method or field of a type where one is named.
var promised = regexp.MustCompile("`(bundle|device|auditlog|evidence|ceremony|attest|formats)\\.([A-Z]\\w*)(?:\\.([A-Z]\\w*))?`")

// promises looks up the names that a document promises. It gives their lines,
// and the names that are not there.
func promises(t *testing.T, from types.Importer, doc string) (lines, faults []string) {
	t.Helper()
	paths := map[string]string{"device": "bundle/device", "evidence": "attest/evidence", "formats": "attest/formats"}
	for _, m := range promised.FindAllStringSubmatch(doc, -1) {
		name := m[1]
		if paths[name] != "" {
			name = paths[name]
		}
		p, err := from.Import(module + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		o := p.Scope().Lookup(m[2])
		if o != nil && m[3] != "" {
			o, _, _ = types.LookupFieldOrMethod(o.Type(), true, p, m[3])
		}
		if o == nil {
			faults = append(faults, m[0])
			continue
		}
		lines = append(lines, described(strings.Trim(m[0], "`"), o)...)
	}
	slices.Sort(lines)
	return slices.Compact(lines), faults
}

func inWords(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if path, ours := strings.CutPrefix(p.Path(), module+"/"); ours && hidden(p) {
			return path // of a type that an alias names
		}
		return p.Name()
	})
}

// described is what whoever uses a name relies on.
func described(name string, o types.Object) (lines []string) {
	if c, ok := o.(*types.Const); ok {
		return []string{name + " " + inWords(c.Type()) + " = " + c.Val().ExactString()}
	}
	if _, isType := o.(*types.TypeName); !isType {
		return []string{name + " " + inWords(unnamed(o.Type()))}
	}
	fields, ok := o.Type().Underlying().(*types.Struct)
	if !ok {
		return []string{name + " is " + inWords(o.Type().Underlying())}
	}
	lines = []string{name + " is a struct"}
	for f := range fields.Fields() {
		if f.Exported() {
			lines = append(lines, name+"."+f.Name()+" "+inWords(f.Type()))
		}
	}
	return lines
}

// unnamed is a function's type without its parameters' names, on which nobody relies.
func unnamed(t types.Type) types.Type {
	f, ok := t.(*types.Signature)
	if !ok {
		return t
	}
	tuple := func(named *types.Tuple) *types.Tuple {
		var list []*types.Var
		for v := range named.Variables() {
			list = append(list, types.NewParam(v.Pos(), v.Pkg(), "", v.Type()))
		}
		return types.NewTuple(list...)
	}
	return types.NewSignatureType(nil, nil, nil, tuple(f.Params()), tuple(f.Results()), f.Variadic())
}

// gone are the lines that were promised and are not true any more.
func gone(was, is []string) (list []string) {
	for _, line := range was {
		if !slices.Contains(is, line) {
			list = append(list, line)
		}
	}
	return list
}

// unpromised are the names of the library's packages that a program uses and a
// document doesn't promise.
func unpromised(t *testing.T, program, doc string) (list []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "main.go", program, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			x, isName := s.X.(*ast.Ident)
			if isName {
				name := "`" + x.Name + "." + s.Sel.Name + "`"
				if promised.MatchString(name) && !strings.Contains(doc, name) {
					list = append(list, name)
				}
			}
		}
		return true
	})
	return list
}

func TestTheExamplesOfTheLibraryUsePromisedNamesAlone(t *testing.T) {
	doc, err := os.ReadFile(libraryDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examples(string(doc)) {
		if list := unpromised(t, e.program, string(doc)); len(list) > 0 {
			t.Errorf("%s uses %v, which the table does not promise", e.heading, list)
		}
	}
	if got := unpromised(t, "package main\n\nvar _, _ = bundle.MaxSize, bundle.Check\n", string(doc)); !slices.Equal(got, []string{"`bundle.MaxSize`"}) {
		t.Errorf("the check finds too little: %v", got)
	}
}

func TestWhatTheLibraryPromisesIsThere(t *testing.T) {
	doc, err := os.ReadFile(libraryDoc)
	if err != nil {
		t.Fatal(err)
	}
	from := compiled(t, "./...")
	lines, faults := promises(t, from, string(doc))
	if len(faults) > 0 || len(lines) < 100 {
		t.Errorf("%d lines are promised; not there: %v", len(lines), faults)
	}
	if os.Getenv("FLEETCTL_WRITE") != "" {
		write(t, libraryAPI, strings.Join(lines, "\n")+"\n")
	}
	was, err := os.ReadFile(libraryAPI)
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Split(strings.TrimSuffix(string(was), "\n"), "\n")
	for _, line := range gone(listed, lines) {
		t.Errorf("%s promises %q, which is no longer so; where that is meant, CHANGELOG.md says it first, and FLEETCTL_WRITE=1 writes the list anew", libraryAPI, line)
	}
	for _, line := range gone(lines, listed) {
		t.Errorf("%s lacks %q: FLEETCTL_WRITE=1 writes the list anew", libraryAPI, line)
	}
	// It must be able to fail.
	lines, faults = promises(t, from, "`bundle.Nothing`, `auditlog.Policy.Nothing`, `bundle.ParseBundle`")
	if len(faults) != 2 || !slices.Equal(lines, []string{"bundle.ParseBundle func(string, []byte) (*bundle.Bundle, error)"}) {
		t.Errorf("the check finds too little: %q, %q", lines, faults)
	}
	if got := gone([]string{"bundle.A int", "bundle.B int"}, []string{"bundle.A int", "bundle.B string"}); !slices.Equal(got, []string{"bundle.B int"}) {
		t.Errorf("what is gone: %q", got)
	}
}
