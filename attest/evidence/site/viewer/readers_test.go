package viewer_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// vectors is the folder of all cases.
const vectors = "../../../../testdata/vectors"

// literals are the strings in Go's own tests of its strict readers: what they are
// asked there, and more.
func literals(t *testing.T, files ...string) (list [][]byte) {
	t.Helper()
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../../../../internal/strict", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					list = append(list, []byte(s), []byte("a: "+s+"\n"), []byte("a:\n  - "+s+"\n"), []byte(`{"x":`+s+`}`), []byte("{a: "+s+", b: 1}\n"))
				}
			}
			return true
		})
	}
	if len(list) < 500 {
		t.Fatalf("only %d strings in %v", len(list), files)
	}
	return list
}

// altered are texts in which a few bytes or lines are changed, always the same ones.
func altered(texts [][]byte, n int) (list [][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{" ", "\n", "  ", "\t", ":", ": ", "- ", "#", " #", "\"", "'", "|", ">", "[", "]", "{", "}", ",", "\\", "&a ", "*a", "!", "~", "null", "0", "1", "-", ".", "e", "_", "é", "\r\n", "?", "%", "\n\n", "\"\"", "''", "|\n", "true", "yes", "2026-11-21", "0x1", "1:30", "<<"}
	for range n {
		b := append([]byte(nil), texts[r.IntN(len(texts))]...)
		for range 1 + r.IntN(3) {
			at := r.IntN(len(b) + 1)
			switch r.IntN(4) {
			case 0: // leave bytes out
				end := min(len(b), at+1+r.IntN(4))
				b = append(b[:at:at], b[end:]...)
			case 1: // leave a line's indent out, or add one
				if i := strings.LastIndexByte(string(b[:at]), '\n'); i >= 0 {
					b = append(append(b[:i+1:i+1], strings.Repeat(" ", r.IntN(6))...), strings.TrimLeft(string(b[i+1:]), " ")...)
				}
			default:
				b = append(append(b[:at:at], pieces[r.IntN(len(pieces))]...), b[at:]...)
			}
		}
		list = append(list, b)
	}
	return list
}

// tree is a value as testdata/run.js tells it. whole says that all its numbers are
// integers as SPEC section 1 has them.
func tree(n *strict.Node, whole *bool) any {
	switch n.Kind {
	case strict.Object:
		list := []any{}
		for _, f := range n.Fields {
			list = append(list, []any{f.Name, tree(f.Value, whole)})
		}
		return []any{"object", list}
	case strict.Array:
		list := []any{}
		for _, x := range n.Items {
			list = append(list, tree(x, whole))
		}
		return []any{"list", list}
	case strict.Null:
		return []any{"null"}
	case strict.Bool:
		return []any{"boolean", n.Text}
	case strict.Number:
		if _, err := strict.ParseUint(n.Text); err != nil {
			*whole = false
		}
		return []any{"number", n.Text}
	}
	return []any{"string", n.Text}
}

type read struct {
	OK    bool
	Value any
	Why   string
}

// agree holds that what JavaScript reads Go reads, and as the same; and the other way
// too where all of the language is read.
func agree(t *testing.T, language string, all bool, texts [][]byte, parse func([]byte) (*strict.Node, error)) {
	t.Helper()
	var got []read
	node(t, language, texts, &got)
	taken, refused := 0, 0
	for i, text := range texts {
		n, err := parse(text)
		whole := true
		var want any
		if err == nil {
			want = tree(n, &whole)
		}
		switch {
		case got[i].OK && err != nil:
			t.Errorf("JavaScript reads %q as %v, and Go says %v", text, got[i].Value, err)
		case got[i].OK && !whole:
			t.Errorf("JavaScript reads %q as %v, and a number in it is none", text, got[i].Value)
		case got[i].OK && !reflect.DeepEqual(got[i].Value, want):
			t.Errorf("%q is %v in JavaScript, and %v in Go", text, got[i].Value, want)
		case !got[i].OK && all && err == nil && whole:
			t.Errorf("JavaScript refuses %q: %s", text, got[i].Why)
		}
		if got[i].OK {
			taken++
		} else {
			refused++
		}
	}
	t.Logf("%s: %d texts, %d read by both, %d refused by JavaScript", language, len(texts), taken, refused)
	if taken < len(texts)/20 || refused < len(texts)/20 {
		t.Errorf("%d read, %d refused: nothing is told apart", taken, refused)
	}
}

func TestJavaScriptReadsJSONAsGoDoes(t *testing.T) {
	texts := literals(t, "json_test.go", "scalar_test.go", "decode_test.go")
	policies := documents(t, vectors+"/bundle/good/bundle.json")
	texts = append(texts, altered(policies, sample(200, 4000))...)
	for _, depth := range []int{31, 32, 33, 34, 35} {
		texts = append(texts, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)), []byte(strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)))
	}
	for _, n := range []int{4094, 4095, 4096, 4097} {
		texts = append(texts, []byte("["+strings.Repeat("1,", n-1)+"1]"))
	}
	agree(t, "json", true, texts, func(b []byte) (*strict.Node, error) { return strict.ParseJSON("f", b, 65536) })
}

func TestJavaScriptReadsNoYAMLOtherwiseThanGo(t *testing.T) {
	texts := literals(t, "yaml_test.go", "scalar_test.go", "decode_test.go")
	real := documents(t, vectors+"/package/honest/policy.yaml", vectors+"/package/attested/policy.yaml", vectors+"/package/witness-of-the-third-party-allowed/policy.yaml")
	texts = append(append(texts, real...), altered(append(small(), real...), sample(1500, 20000))...)
	agree(t, "yaml", false, texts, func(b []byte) (*strict.Node, error) {
		n, err := strict.ParseYAML("f", b, strict.MaxYAML)
		if err == nil && n.Kind != strict.Object {
			return nil, fmt.Errorf("is %s", n.Kind)
		}
		return n, err
	})
}

// small are documents of every form that the reader in JavaScript reads.
func small() (list [][]byte) {
	for _, s := range []string{
		"a: b\nc:\n  d: 1\n  e: [x, 'y', \"z\"]\nf:\n- g\n- h: 1\n  i: 2\n",
		"a:\n  - - 1\n    - 2\n  -\n    b: c # d\n  - {e: f, g: [1, 2]}\n",
		"log: |\n  one\n  two\n\nnext: >-\n  three\n  four\n\n  five\nlast: |+\n  six\n\n",
		"a: {b: 2026-11-21T10:00:00Z, c: 'it''s'}\n\"d\": \"\\u00e9\\n\\\"\"\ne: \"#\" # f\n",
		"a: [\n  1,\n  2 # two\n  ]\nb: ~\nc:\nd: null\ne: true\n",
	} {
		list = append(list, []byte(s))
	}
	return list
}

func documents(t *testing.T, paths ...string) (list [][]byte) {
	t.Helper()
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, data)
	}
	return list
}
