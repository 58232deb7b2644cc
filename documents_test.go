package fleetctl_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// backquoted is what a document writes between backquotes.
var backquoted = regexp.MustCompile("`([^`\n]+)`")

// aPath is a quoted text that names a file or folder: it has a slash or a known
// ending. <noun> stands for any name.
var aPath = regexp.MustCompile(`^[A-Za-z0-9_*.<>-]+(/[A-Za-z0-9_*.<>-]+)*/?$`)

// missing lists the files and folders that a document names and that aren't there.
// A document may leave out the folders above one: evidence/page.
func missing(doc string, there []string) (list []string) {
	for _, m := range backquoted.FindAllStringSubmatch(doc, -1) {
		name := strings.TrimSuffix(m[1], "/")
		isFile := slices.Contains([]string{".go", ".md", ".txt", ".api"}, path.Ext(name))
		if !aPath.MatchString(name) || !isFile && !strings.Contains(name, "/") || strings.HasPrefix(name, "~") {
			continue
		}
		pattern := regexp.MustCompile(`<\w+>`).ReplaceAllString(name, "*")
		if !slices.ContainsFunc(there, func(p string) bool { return named(pattern, p) }) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// named says whether a path ends with the segments of a pattern.
func named(pattern, p string) bool {
	n := strings.Count(pattern, "/") + 1
	parts := strings.Split(p, "/")
	if len(parts) < n {
		return false
	}
	ok, err := path.Match(pattern, strings.Join(parts[len(parts)-n:], "/"))
	return ok && err == nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tree is every file and folder of the project.
func tree(t *testing.T) (list []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		list = append(list, filepath.ToSlash(p))
		return err
	})
	if err != nil || len(list) < 500 {
		t.Fatalf("%d files: %v", len(list), err)
	}
	return list
}

// notHere are quoted texts with a slash that name other modules, or what a ceremony
// leaves in its folder.
var notHere = []string{"miekg/pkcs11", "sigstore/rekor", "plan-approvals/*.sig", "signoffs/release/*", "signoffs/close/*", "private/submissions"}

func TestTheMapNamesWhatIsThere(t *testing.T) {
	there := tree(t)
	for _, doc := range []string{"docs/architecture.md", "CONTRIBUTING.md"} {
		for _, name := range missing(read(t, doc), there) {
			if !slices.Contains(notHere, name) {
				t.Errorf("%s names %s, which isn't there", doc, name)
			}
		}
	}
	got := missing("`a/b.go` `b.go` `c/*.go` `x/<noun>/y.go` `gone.go` `a/gone` `Type.Method` `go test ./...`", []string{"top/a/b.go", "c/d.go", "x/z/y.go"})
	if !slices.Equal(got, []string{"a/gone", "gone.go"}) {
		t.Errorf("the check finds %q", got)
	}
}

func TestTheMapHasEveryPackage(t *testing.T) {
	parts, _, _ := strings.Cut(read(t, "docs/architecture.md"), "\n## Imports")
	for name := range arrows {
		if !isNoun(name) && !strings.Contains(parts, "`"+name+"`") {
			t.Errorf("docs/architecture.md has no row for %s", name)
		}
	}
}

// tasks are changes that people come to make. Each has a row that says in which
// folders it is made.
var tasks = map[string]string{
	"vendor's attestation":                                   "attest/formats",
	"algorithm of fleet keys":                                "internal/keys",
	"form of the report beside text and JSON, such as SARIF": "cmd/fleetctl/evidence/report.go",
	"kind of record":                                         "ceremony/kinds.go",
	"layout of the report":                                   "cmd/fleetctl/evidence/report.go",
	"type of log":                                            "auditlog",
	"limit that a third party sets":                          "bundle/thirdparty/policy.go",
	"what is said after a wrong PIN":                         "internal/signer/pin.go",
	"global flag, exit code":                                 "internal/cli",
	"vector for other implementations":                       "testdata/vectors",
}

func TestTheMapAnswersTenTasks(t *testing.T) {
	doc := read(t, "docs/architecture.md")
	for task, place := range tasks {
		if !regexp.MustCompile("(?m)^\\| " + regexp.QuoteMeta(task) + " \\|.*`" + regexp.QuoteMeta(place) + "`").MatchString(doc) {
			t.Errorf("docs/architecture.md doesn't send whoever comes for a %s to %s", task, place)
		}
	}
	// That the places are the right ones shows in what stands there.
	for place, what := range map[string]string{
		"internal/signer/pin.go":          "wrong",
		"cmd/fleetctl/evidence/report.go": "reportText",
		"bundle/thirdparty/policy.go":     "type Policy struct",
		"ceremony/kinds.go":               "func Kinds()",
		"attest/formats/formats.go":       "luna.Verifier{},",
	} {
		if !strings.Contains(read(t, place), what) {
			t.Errorf("%s has nothing with %q: is the map still right?", place, what)
		}
	}
}

// declared are the functions and methods of all packages: engine.Run,
// Journal.Build, publish.Log.Append.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for dir, files := range sources(t) {
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				switch {
				case !ok:
				case fn.Recv == nil:
					found[path.Base(dir)+"."+fn.Name.Name] = true
				default:
					of := strings.TrimPrefix(fmt.Sprint(mentions(fn.Recv.List[0].Type)), "[")
					of = strings.TrimSuffix(of, "]")
					found[of+"."+fn.Name.Name] = true
					found[path.Base(dir)+"."+of+"."+fn.Name.Name] = true
				}
			}
		}
	}
	return found
}

func TestTheWayOfTheDataNamesCallsThatThereAre(t *testing.T) {
	_, way, _ := strings.Cut(read(t, "docs/architecture.md"), "\n## The way of the data")
	way, _, _ = strings.Cut(way, "\n## ")
	there := declared(t)
	n := 0
	for line := range strings.Lines(way) {
		cell := strings.Split(line, "|")
		if len(cell) != 6 {
			continue
		}
		pkg := ""
		for _, m := range backquoted.FindAllStringSubmatch(cell[3], -1) {
			name := m[1]
			if before, _, ok := strings.Cut(name, "."); ok {
				pkg = before
			} else {
				name = pkg + "." + name // thirdparty.Inspect, then Sign alone
			}
			if n++; !there[name] {
				t.Errorf("the way of the data has the call %s, which there is not", name)
			}
		}
	}
	if n < 15 {
		t.Errorf("%d calls were found in the table", n)
	}
}

// TestBothHandbooksHaveOneRuleForWords: who reads aloud, and who follows.
func TestBothHandbooksHaveOneRuleForWords(t *testing.T) {
	rule := regexp.MustCompile(`(?s)Words have one rule everywhere: .*?another\.`)
	var said []string
	for _, file := range []string{"docs/ceremony-handbook.md", "docs/third-party-handbook.md"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, strings.Join(strings.Fields(rule.FindString(string(data))), " "))
	}
	if said[0] == "" || said[0] != said[1] {
		t.Errorf("the ceremony's handbook has %q, the third party's %q", said[0], said[1])
	}
}
