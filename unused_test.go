package fleetctl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exportedFor are the names that are exported though no other package uses them
// and no signature leads to them, each with its reason.
var exportedFor = map[string]string{
	"ceremony.Tolerable":             "doc comments: the attempts that a plan and two policies may tolerate",
	"auditlog.Holder":                "names a type of internal/keys that Roster's methods take",
	"attest/*.Format":                handedIn,
	"attest/*.Part*":                 handedIn,
	"attest/*.Quirk*":                "what a Demand's Tolerates names",
	"attest/evidence.Contradict*":    fieldValue,
	"attest/evidence/epochs.Kind*":   fieldValue,
	"attest/evidence/epochs.State*":  fieldValue,
	"attest/evidence/epochs.What*":   fieldValue,
	"attest/evidence/entries.Fault*": fieldValue,
	"ceremony/script.Administrator":  "one of Roles; the others are ceremony's",
	"internal/hsm.Error":             "the error that every call to a module gives, with its return value",
}

const (
	handedIn   = "a program that has a device's bytes writes it into attest.Evidence"
	fieldValue = "a value of an exported field, beside others that are used"
)

// excused gives the entry of exportedFor that a name falls under.
func excused(name string) string {
	for pattern := range exportedFor {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return pattern
		}
	}
	return ""
}

// exported is a name at the top of a package that other packages can use.
type exported struct {
	leadsTo []string // the exported names of the same package that its type is made of
	beside  []string // the constants or variables of the same declaration
}

// surface is what packages export, and what of it is used in other packages. The
// tests of a package count as another package where they are one: package x_test.
type surface struct {
	names    map[string]*exported // by folder and name: internal/qr.Frames
	used     map[string]bool
	imported map[string]bool // folders that another package's code imports
	forTests map[string]bool // folders whose code imports testing
}

func newSurface() *surface {
	return &surface{map[string]*exported{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

// read adds a file of a folder. Only syntax is looked at: an import's name before
// a dot counts as that import, even where a variable hides it.
func (s *surface) read(t *testing.T, dir, name, text string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string]string{}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		to, ours := strings.CutPrefix(p, module+"/")
		if !strings.HasSuffix(name, "_test.go") {
			s.imported[to] = s.imported[to] || ours
			s.forTests[dir] = s.forTests[dir] || p == "testing"
		}
		switch {
		case !ours:
		case i.Name != nil:
			imports[i.Name.Name] = to
		default:
			imports[path.Base(to)] = to
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && imports[x.Name] != "" {
				s.used[imports[x.Name]+"."+sel.Sel.Name] = true
			}
		}
		return true
	})
	if strings.HasSuffix(name, "_test.go") {
		return
	}
	for _, d := range f.Decls {
		s.declared(dir, d)
	}
}

func (s *surface) declared(dir string, d ast.Decl) {
	add := func(id *ast.Ident, beside []string, types ...ast.Node) {
		if !id.IsExported() {
			return
		}
		e := s.names[dir+"."+id.Name]
		if e == nil {
			e = &exported{}
			s.names[dir+"."+id.Name] = e
		}
		e.beside = append(e.beside, beside...)
		for _, n := range types {
			ast.Inspect(n, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && id.IsExported() {
					e.leadsTo = append(e.leadsTo, dir+"."+id.Name)
				}
				return true
			})
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		switch {
		case d.Recv == nil:
			add(d.Name, nil, d.Type)
		case d.Name.IsExported():
			ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					add(id, nil, d.Type)
				}
				return true
			})
		}
	case *ast.GenDecl:
		var beside []string
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && d.Lparen.IsValid() {
				for _, id := range v.Names {
					beside = append(beside, dir+"."+id.Name)
				}
			}
		}
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				add(spec.Name, nil, spec.Type)
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					if spec.Type != nil {
						add(id, beside, spec.Type)
					} else {
						add(id, beside)
					}
				}
			}
		}
	}
}

// unneeded are the names that no other package uses, that no signature of a used
// name leads to, and that stand in no list of which another is used. A package
// that the program doesn't import yet is left out; one for tests is not.
func (s *surface) unneeded(promised map[string]bool) (list []string) {
	kept := map[string]bool{}
	var keep func(name string)
	keep = func(name string) {
		e := s.names[name]
		if e == nil || kept[name] {
			return
		}
		kept[name] = true
		for _, n := range slices.Concat(e.leadsTo, e.beside) {
			keep(n)
		}
	}
	for name := range s.used {
		keep(name)
	}
	for name := range promised {
		keep(name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		dir := name[:strings.LastIndex(name, ".")]
		if !kept[name] && (s.imported[dir] || s.forTests[dir]) {
			list = append(list, name)
		}
	}
	return list
}

// promisedNames are the names of docs/library.api, by folder.
func promisedNames(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(libraryAPI)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, " ")
		part := strings.Split(name, ".")
		for _, dir := range library() {
			if path.Base(dir) == part[0] {
				names[dir+"."+part[1]] = true
			}
		}
	}
	return names
}

func TestWhatIsExportedIsUsedElsewhere(t *testing.T) {
	s := newSurface()
	for dir, files := range sources(t) {
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s.read(t, dir, f, string(data))
		}
	}
	if len(s.names) < 500 || len(s.used) < 500 {
		t.Fatalf("%d exported names, %d used ones: the check reads too little", len(s.names), len(s.used))
	}
	used := map[string]bool{}
	for _, name := range s.unneeded(promisedNames(t)) {
		if by := excused(name); by != "" {
			used[by] = true
			continue
		}
		t.Errorf("%s is exported and no other package uses it: write it small, or say in exportedFor why not", name)
	}
	for pattern := range exportedFor {
		if !used[pattern] {
			t.Errorf("%s excuses nothing: take it off the list exportedFor", pattern)
		}
	}
}

func TestWhatIsUsedReachedOrPromisedIsNeeded(t *testing.T) {
	s := newSurface()
	s.read(t, "a", "a.go", `package a
const (
	One = 1
	Two = 2
)
const Three = 3
type Result struct{ Part Inside; hidden int }
type Inside struct{}
type Lone struct{}
func (Inside) Method() *FromMethod { return nil }
func (Lone) Method() *Nobody { return nil }
type FromMethod struct{}
type Nobody struct{}
func Get() *Result { return nil }
func Here() { There() }
func There() {}
func Promised() {}
func small() {}
var Tested = 1
`)
	s.read(t, "a", "a_test.go", "package a\nfunc Helper() { Here() }\n")
	s.read(t, "b", "b.go", `package b
import (
	"`+module+`/a"
	other "strings"
)
var _ = a.Get()
var _ = a.One
var _ = other.There
`)
	s.read(t, "d", "d.go", "package d\nfunc Later() {}\n")
	s.read(t, "e", "e.go", "package e\nimport \"testing\"\nfunc Unused(testing.TB) {}\n")
	s.read(t, "c", "c_test.go", "package c_test\nimport x \""+module+"/a\"\nvar _ = x.Tested\n")
	want := []string{"a.Here", "a.Lone", "a.Nobody", "a.There", "a.Three", "e.Unused"}
	if got := s.unneeded(map[string]bool{"a.Promised": true}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
