package fleetctl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// library gives the packages that programs outside this module import: what
// verifies, but for ceremony/folder, which keeps what this program writes.
func library() (list []string) {
	for _, name := range verifiers {
		if !strings.HasPrefix(name, "internal/") && name != "ceremony/folder" {
			list = append(list, name)
		}
	}
	return list
}

// hidden says whether a package can't be imported from outside this module.
func hidden(p *types.Package) bool {
	return p != nil && (strings.HasPrefix(p.Path(), module+"/internal/") || strings.HasPrefix(p.Path(), module+"/") && strings.Contains(p.Path(), "/internal/"))
}

// compiled reads packages from what the compiler exported of them.
func compiled(t *testing.T, patterns ...string) types.Importer {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		files[p.ImportPath] = p.Export
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

// signatures walks what packages export, and all types of ours that it leads to.
type signatures struct {
	named  map[*types.TypeName]bool // hidden types that an exported alias gives a name
	done   map[*types.TypeName]bool
	at     string
	faults []string
}

// names finds the aliases by which a package names hidden types.
func (s *signatures) names(p *types.Package) {
	for _, name := range p.Scope().Names() {
		o, ok := p.Scope().Lookup(name).(*types.TypeName)
		if !ok || !o.Exported() || !o.IsAlias() {
			continue
		}
		if n, ok := types.Unalias(o.Type()).(*types.Named); ok && hidden(n.Obj().Pkg()) {
			s.named[n.Obj()] = true
		}
	}
}

func (s *signatures) pkg(p *types.Package) {
	for _, name := range p.Scope().Names() {
		o := p.Scope().Lookup(name)
		if !o.Exported() {
			continue
		}
		s.at = strings.TrimPrefix(p.Path(), module+"/") + "." + name
		if t, ok := o.(*types.TypeName); ok && t.IsAlias() {
			// Its right side is the one place where a hidden type may stand.
			s.members(types.Unalias(t.Type()))
			continue
		}
		s.walk(o.Type())
	}
}

// members looks at what a type of ours lets others reach.
func (s *signatures) members(t types.Type) {
	n, ok := t.(*types.Named)
	if !ok {
		s.walk(t)
		return
	}
	o := n.Obj()
	if o.Pkg() == nil || !strings.HasPrefix(o.Pkg().Path(), module+"/") || s.done[o] {
		return
	}
	s.done[o] = true
	defer func(at string) { s.at = at }(s.at)
	at := strings.TrimPrefix(o.Pkg().Path(), module+"/") + "." + o.Name()
	s.at = at
	if st, ok := n.Underlying().(*types.Struct); ok {
		for f := range st.Fields() {
			if f.Exported() || f.Embedded() {
				s.at = at + "." + f.Name()
				s.walk(f.Type())
			}
		}
	} else {
		s.walk(n.Underlying())
	}
	for m := range n.Methods() {
		if m.Exported() {
			s.at = at + "." + m.Name()
			s.walk(m.Type())
		}
	}
}

func (s *signatures) walk(t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		if o := t.Obj(); o.Pkg() != nil && (hidden(o.Pkg()) || !o.Exported()) {
			s.walk(t.Rhs()) // an alias that nobody outside can name either
			return
		}
		s.members(types.Unalias(t))
	case *types.Named:
		// Within the methods of a hidden type that has a public name, another such
		// type may stand. Everywhere else the public name does.
		o := t.Obj()
		if hidden(o.Pkg()) && (!s.named[o] || !strings.HasPrefix(s.at, "internal/")) {
			s.faults = append(s.faults, s.at+" has "+o.Pkg().Path()+"."+o.Name())
		}
		for a := range t.TypeArgs().Types() {
			s.walk(a)
		}
		s.members(t)
	case *types.Map:
		s.walk(t.Key())
		s.walk(t.Elem())
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		s.walk(t.Elem())
	case *types.Signature:
		for v := range t.Params().Variables() {
			s.walk(v.Type())
		}
		for v := range t.Results().Variables() {
			s.walk(v.Type())
		}
	case *types.Struct:
		for f := range t.Fields() {
			s.walk(f.Type())
		}
	case *types.Interface:
		for m := range t.Methods() {
			s.walk(m.Type())
		}
	}
}

// hiddenFaults are the exported signatures in which a type stands that nobody
// outside this module can name.
func hiddenFaults(t *testing.T, packages ...string) []string {
	t.Helper()
	from := compiled(t, "./...")
	var all []*types.Package
	for _, name := range packages {
		p, err := from.Import(module + "/" + name)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", name, err))
		}
		all = append(all, p)
	}
	return faultsIn(all...)
}

func faultsIn(packages ...*types.Package) []string {
	s := &signatures{named: map[*types.TypeName]bool{}, done: map[*types.TypeName]bool{}}
	for _, p := range packages {
		s.names(p)
	}
	for _, p := range packages {
		s.pkg(p)
	}
	slices.Sort(s.faults)
	return slices.Compact(s.faults)
}

func TestTheLibraryExportsNoTypeThatOnlyThisModuleCanName(t *testing.T) {
	for _, f := range hiddenFaults(t, library()...) {
		t.Error(f)
	}
	// It must be able to fail: the engine is for commands alone, and speaks of
	// tokens in the words of internal/token.
	if got := hiddenFaults(t, "ceremony/engine"); !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, module+"/internal/token.") }) {
		t.Errorf("the check finds too little in ceremony/engine: %q", got)
	}
}

// checked compiles a package from its text.
func checked(t *testing.T, path, text string, imports importing) *types.Package {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path+".go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&types.Config{Importer: imports}).Check(module+"/"+path, files, []*ast.File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	imports[p.Path()] = p
	return p
}

type importing map[string]*types.Package

func (m importing) Import(path string) (*types.Package, error) { return m[path], nil }

func TestEachWayOutOfAPackageIsFollowed(t *testing.T) {
	imports := importing{}
	checked(t, "internal/in", `package in
type Part struct{ N int }
type Key struct{ Parts []Part; own Part }
func (k *Key) Point() (Part, error) { return k.own, nil }
func (k *Key) hidden() Part { return k.own }
type Plain struct{ N int }`, imports)
	checked(t, "beside", `package beside
import "`+module+`/internal/in"
type Door struct{ Plain in.Plain }`, imports)
	const head = "package pub\nimport \"" + module + "/internal/in\"\nvar _ in.Plain\n"
	const plain, part = " has " + module + "/internal/in.Plain", " has " + module + "/internal/in.Part"
	for _, c := range []struct {
		text string
		want []string
	}{
		{"func F(in.Plain) {}", []string{"pub.F" + plain}},
		{"func F() (int, *in.Plain) { return 0, nil }", []string{"pub.F" + plain}},
		{"var V map[string][]in.Plain", []string{"pub.V" + plain}},
		{"var V func(chan in.Plain)", []string{"pub.V" + plain}},
		{"type T struct{ A [2]in.Plain; b in.Part }", []string{"pub.T.A" + plain}},
		{"type T struct{ in.Plain }", []string{"pub.T.Plain" + plain}},
		{"type t struct{ A in.Plain }\nfunc F() t { return t{} }", []string{"pub.t.A" + plain}},
		{"type T struct{ u }\ntype u struct{ A in.Plain }", []string{"pub.u.A" + plain}},
		{"type T int\nfunc (T) M(in.Plain) {}\nfunc (T) m(in.Part) {}", []string{"pub.T.M" + plain}},
		{"type T interface{ M() in.Plain }", []string{"pub.T" + plain}},
		{"type T[X any] struct{ x X }\nfunc F(T[in.Plain]) {}", []string{"pub.F" + plain}},
		{"type T in.Key", []string{"pub.T.Parts" + part}},
		{"type P = in.Plain\nfunc F(P) {}", nil},
		{"type P = in.Plain\nfunc F(in.Plain) {}", []string{"pub.F" + plain}},
		{"type K = in.Key", []string{"internal/in.Key.Parts" + part, "internal/in.Key.Point" + part}},
		{"type K = in.Key\ntype P = in.Part\nfunc F(*K) P { return P{} }", nil},
		{"type p = in.Plain\nfunc F(p) {}", []string{"pub.F" + plain}},
		{"func f(in.Plain) {}\ntype T struct{ a in.Plain }\nfunc F(T) {}", nil},
	} {
		if got := faultsIn(checked(t, "pub", head+c.text, imports)); !slices.Equal(got, c.want) {
			t.Errorf("%s\ngot  %q\nwant %q", c.text, got, c.want)
		}
	}
	text := "package pub\nimport \"" + module + "/beside\"\nfunc F() *beside.Door { return nil }"
	if got := faultsIn(checked(t, "pub", text, imports)); !slices.Equal(got, []string{"beside.Door.Plain" + plain}) {
		t.Errorf("through another public package: %q", got)
	}
}
