package fleetctl_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goNotation finds where code makes a text of a duration: it gives one to a function
// that takes anything, or asks it for its String.
func goNotation(fset *token.FileSet, files []*ast.File, info *types.Info) (found []string) {
	isDuration := func(e ast.Expr) bool {
		t := info.TypeOf(e)
		return t != nil && types.TypeString(t, nil) == "time.Duration"
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "String" && isDuration(sel.X) {
				found = append(found, fset.Position(call.Pos()).String())
			}
			s, ok := info.TypeOf(call.Fun).(*types.Signature)
			if !ok || !s.Variadic() {
				return true
			}
			last := s.Params().Len() - 1
			slice, ok := s.Params().At(last).Type().(*types.Slice)
			if !ok || !types.IsInterface(slice.Elem()) {
				return true
			}
			for i, arg := range call.Args {
				if i >= last && isDuration(arg) {
					found = append(found, fset.Position(arg.Pos()).String())
				}
			}
			return true
		})
	}
	return found
}

// toldToPrograms are files that write durations for programs alone.
var toldToPrograms = map[string]bool{"tokens.go": true, "mutant.go": true}

// "720h0m0s" is what a programmer reads: people are told 30 days.
func TestNobodyIsToldADurationInGosNotation(t *testing.T) {
	from := compiled(t, "./...")
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Dir   string
			GoFiles, CgoFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(p.ImportPath, "/test") || strings.HasSuffix(p.ImportPath, "/await") || strings.HasSuffix(p.ImportPath, "test") {
			continue // what is for tests alone
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
		conf := types.Config{Importer: from, FakeImportC: true, Error: func(error) {}}
		conf.Check(p.ImportPath, fset, files, info) // a package with cgo can't be checked as a whole
		looked++
		for _, at := range goNotation(fset, files, info) {
			if at, _, _ := strings.Cut(at, ":"); toldToPrograms[at[strings.LastIndex(at, "/")+1:]] {
				continue
			}
			t.Errorf("%s: a duration is written as Go writes it; strict.FormatDuration writes it in words", strings.TrimPrefix(at, filepath.Dir(p.Dir)))
		}
	}
	if looked < 50 {
		t.Errorf("only %d packages were looked at", looked)
	}
}
