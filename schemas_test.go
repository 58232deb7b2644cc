package fleetctl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	schemaDir  = "docs/schemas"
	base64Text = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
)

// printers are the packages whose results commands print, beside the commands.
var printers = []string{"internal/cli", "internal/session", "internal/screen", "internal/signer", "attest/evidence", "attest/evidence/epochs", "auditlog/monitor", "bundle/history/follow"}

// notPrinted are types that these packages write as JSON to where nobody reads standard
// output: files, and pipes of our own.
var notPrinted = map[string]string{
	"internal/session.probeRequest": "goes to the process that looks at a token",
	"internal/session.probeReply":   "comes from it",
	"auditlog/monitor.state":        "a monitor's file",
	"bundle/history/follow.state":   "a follower's file",
	"internal/cli.named":            "the beginning of each result",
	"internal/cli.Result":           "each result: its own type has the method Format",
}

// printed is what `go list` says of packages, as far as the types of what they print are
// looked for.
type printed struct {
	t     *testing.T
	fset  *token.FileSet
	types map[string]*types.Named // by the format that each says that it is
	seen  map[string]bool         // the types that are found written as JSON
}

// load finds the types of all results.
func loadPrinted(t *testing.T) *printed {
	t.Helper()
	p := &printed{t: t, fset: token.NewFileSet(), types: map[string]*types.Named{}, seen: map[string]bool{}}
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./cmd/fleetctl")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
	}
	exports, ours := map[string]string{}, []listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[l.ImportPath] = l.Export
		if name, ok := strings.CutPrefix(l.ImportPath, module+"/"); ok && (isNoun(name) || slices.Contains(printers, name)) {
			ours = append(ours, l)
		}
	}
	imp := importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, l := range ours {
		var files []*ast.File
		for _, name := range l.GoFiles {
			f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}}
		conf := types.Config{Importer: imp}
		if _, err := conf.Check(l.ImportPath, p.fset, files, info); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool { p.look(info, n); return true })
		}
	}
	return p
}

// look takes down what a part of a file says of a result: its method Format, a value with
// its member format, or that it is written as JSON.
func (p *printed) look(info *types.Info, n ast.Node) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name != "Format" || n.Recv == nil || n.Type.Params.NumFields() != 0 || len(n.Body.List) != 1 {
			return
		}
		if r, ok := n.Body.List[0].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			p.add(info.Types[r.Results[0]].Value, info.Defs[n.Name].(*types.Func).Signature().Recv().Type())
		}
	case *ast.CompositeLit:
		typ := info.Types[n].Type
		s, ok := typ.Underlying().(*types.Struct)
		if !ok || s.NumFields() == 0 || reflect.StructTag(s.Tag(0)).Get("strict") != "format" || len(n.Elts) == 0 {
			return
		}
		first := n.Elts[0]
		if kv, ok := first.(*ast.KeyValueExpr); ok {
			first = kv.Value
		}
		p.add(info.Types[first].Value, typ)
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if ok && slices.Contains([]string{"strict.EncodeJSON", "strict.EncodeLine"}, written(sel)) {
			if named := namedOf(info.Types[n.Args[0]].Type); named != nil {
				p.seen[short(named)] = true
			}
		}
	}
}

func (p *printed) add(format constant.Value, typ types.Type) {
	named := namedOf(typ)
	if format == nil || format.Kind() != constant.String || named == nil || notPrinted[short(named)] != "" {
		return
	}
	name := constant.StringVal(format)
	if !strings.HasPrefix(name, "fleetctl ") {
		return // another one's format
	}
	if other := p.types[name]; other != nil && other.Obj() != named.Obj() {
		p.t.Errorf("%s and %s are both %q", short(other), short(named), name)
	}
	p.types[name] = named
}

func namedOf(t types.Type) *types.Named {
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	named, _ := t.(*types.Named)
	return named
}

func short(n *types.Named) string {
	return strings.TrimPrefix(n.Obj().Pkg().Path(), module+"/") + "." + n.Obj().Name()
}

// schemaFile is where the schema of a format lies: fleetctl plan check result v1 in
// docs/schemas/plan-check-result-v1.json.
func schemaFile(format string) string {
	return schemaDir + "/" + strings.ReplaceAll(strings.TrimPrefix(format, "fleetctl "), " ", "-") + ".json"
}

// schemaOf is the JSON Schema of a result.
func schemaOf(t *testing.T, format string, typ types.Type) []byte {
	s := structSchema(t, format, typ.Underlying().(*types.Struct))
	members := s["properties"].(map[string]any)
	if st := typ.Underlying().(*types.Struct); members["format"] != nil && reflect.StructTag(st.Tag(0)).Get("strict") != "format" {
		t.Errorf("%s has a member format besides", format)
	}
	members["format"] = map[string]any{"const": format}
	required := slices.DeleteFunc(s["required"].([]string), func(m string) bool { return m == "format" })
	s["required"] = append([]string{"format"}, required...)
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", format
	s["$id"] = "urn:fleetctl:schema:" + strings.TrimSuffix(filepath.Base(schemaFile(format)), ".json")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// structSchema goes by the tags that internal/strict writes a struct by.
func structSchema(t *testing.T, where string, s *types.Struct) map[string]any {
	members, required := map[string]any{}, []string{}
	for i := range s.NumFields() {
		tag, ok := reflect.StructTag(s.Tag(i)).Lookup("strict")
		if !ok {
			continue
		}
		options := strings.Split(tag, ",")
		name := options[0]
		m := valueSchema(t, where+"."+name, s.Field(i).Type(), options[1:])
		if slices.Contains(options[1:], "optional") {
			notZero(s.Field(i).Type(), m)
		} else {
			required = append(required, name)
		}
		members[name] = m
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": members, "required": required}
}

// notZero tightens the schema of a member that is left out where it is zero.
func notZero(typ types.Type, m map[string]any) {
	b, ok := typ.Underlying().(*types.Basic)
	switch {
	case !ok:
	case b.Info()&types.IsBoolean != 0:
		m["const"] = true
	case b.Info()&types.IsUnsigned != 0:
		m["minimum"] = 1
	case b.Info()&types.IsInteger != 0:
		m["not"] = map[string]any{"const": 0}
	case m["pattern"] == nil:
		m["minLength"] = 1
	}
}

func valueSchema(t *testing.T, where string, typ types.Type, options []string) map[string]any {
	text := func(pattern string) map[string]any { return map[string]any{"type": "string", "pattern": pattern} }
	if ptr, ok := typ.(*types.Pointer); ok {
		typ = ptr.Elem()
	}
	if named, ok := typ.(*types.Named); ok && named.Obj().Name() == "Time" && named.Obj().Pkg().Path() == "time" {
		return text("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
	}
	bytes := func(elem types.Type) bool {
		b, ok := elem.Underlying().(*types.Basic)
		return ok && b.Kind() == types.Byte
	}
	switch u := typ.Underlying().(type) {
	case *types.Struct:
		return structSchema(t, where, u)
	case *types.Array:
		if bytes(u.Elem()) && slices.Contains(options, "hex") {
			return text(fmt.Sprintf("^[0-9a-f]{%d}$", 2*u.Len()))
		}
		if bytes(u.Elem()) && slices.Contains(options, "base64") {
			return text(base64Text)
		}
	case *types.Slice:
		switch {
		case bytes(u.Elem()) && slices.Contains(options, "hex"):
			return text("^([0-9a-f]{2})*$")
		case bytes(u.Elem()) && slices.Contains(options, "base64"):
			return text(base64Text)
		}
		return map[string]any{"type": "array", "items": valueSchema(t, where+"[]", u.Elem(), options)}
	case *types.Basic:
		switch {
		case u.Info()&types.IsString != 0:
			return map[string]any{"type": "string"}
		case u.Info()&types.IsBoolean != 0:
			return map[string]any{"type": "boolean"}
		case u.Info()&types.IsUnsigned != 0:
			return map[string]any{"type": "integer", "minimum": 0}
		case u.Info()&types.IsInteger != 0:
			return map[string]any{"type": "integer"}
		}
	}
	t.Fatalf("%s is %s: what schema has that?", where, typ)
	return nil
}

// TestEveryJSONHasItsSchema: what commands print has a schema that says exactly which
// members there are, and there is no other schema.
func TestEveryJSONHasItsSchema(t *testing.T) {
	if os.Getenv("CGO_ENABLED") == "0" {
		t.Skip("without cgo the commands for HSMs and logs are left out, whose schemas are there")
	}
	p := loadPrinted(t)
	for name := range p.seen {
		known := slices.ContainsFunc(slices.Collect(maps.Values(p.types)), func(n *types.Named) bool { return short(n) == name })
		if !known && notPrinted[name] == "" {
			t.Errorf("%s is written as JSON and says no format: let it have a method Format, or say in notPrinted where it goes", name)
		}
	}
	for name := range notPrinted {
		if !p.seen[name] {
			t.Errorf("%s isn't written as JSON any more: take it off the list notPrinted", name)
		}
	}
	var files []string
	for _, format := range slices.Sorted(maps.Keys(p.types)) {
		file, want := schemaFile(format), schemaOf(t, format, p.types[format])
		files = append(files, file)
		if os.Getenv("FLEETCTL_WRITE") == "1" {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s isn't what %s is written as: FLEETCTL_WRITE=1 go test . -run JSONHasItsSchema; a member that is taken away or means something else needs another version: %v", file, short(p.types[format]), err)
		}
	}
	there, err := filepath.Glob(schemaDir + "/*.json")
	if err != nil || len(files) < 50 {
		t.Fatal(err, len(files))
	}
	for _, file := range there {
		if !slices.Contains(files, file) {
			t.Errorf("%s is the schema of nothing that is printed", file)
		}
	}
}
