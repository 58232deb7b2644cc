package fleetctl_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dependencies = "docs/dependencies.md"

// modulesOf are the modules of others that packages of ours consist of.
func modulesOf(t *testing.T, pkg string, env ...string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	found := slices.DeleteFunc(strings.Fields(string(out)), func(m string) bool { return m == module })
	slices.Sort(found)
	return slices.Compact(found)
}

// table reads the rows below a heading: their cells.
func table(text, heading string) (rows [][]string) {
	_, rest, _ := strings.Cut(text, heading+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	for line := range strings.Lines(rest) {
		if cells := strings.Split(strings.Trim(line, "|\n "), "|"); strings.HasPrefix(line, "| ") && len(cells) > 2 {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

var quoted = regexp.MustCompile("`([^`]+)`")

// moduleFaults are where docs/dependencies.md and what is built differ.
func moduleFaults(text string, direct, verifier, library []string, all int) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	yes := func(list []string, m string) string {
		if slices.Contains(list, m) {
			return "yes"
		}
		return "no"
	}
	var named []string
	for _, cells := range table(text, "# Dependencies") {
		for _, q := range quoted.FindAllStringSubmatch(cells[0], -1) {
			m := q[1]
			named = append(named, m)
			switch {
			case len(cells) != 7 || cells[1] == "" || cells[2] == "" || cells[6] == "":
				fault("%s: its row doesn't say what it is for, why it isn't ours, or its licence", m)
				continue
			case !slices.Contains(direct, m):
				fault("%s: is no direct dependency", m)
			}
			if in := yes(verifier, m); in != cells[4] {
				fault("%s: in the program built without cgo: %s, the table says %s", m, in, cells[4])
			}
			if in, said, _ := strings.Cut(cells[5], " "); yes(library, m) != "yes" && in != "no" || yes(library, m) == "yes" && in == "no" {
				fault("%s: in the library: %s, the table says %s %s", m, yes(library, m), in, said)
			}
		}
	}
	for _, m := range direct {
		if !slices.Contains(named, m) {
			fault("%s: is a direct dependency, and no row says why", m)
		}
	}
	for _, cells := range table(text, "## Indirect, in the program built without cgo") {
		for _, q := range quoted.FindAllStringSubmatch(cells[0], -1) {
			if named = append(named, q[1]); !slices.Contains(verifier, q[1]) {
				fault("%s: is not in the program built without cgo", q[1])
			}
		}
	}
	for _, m := range verifier {
		if !slices.Contains(named, m) {
			fault("%s: is in the program built without cgo, and nothing says why", m)
		}
	}
	for _, m := range library {
		if !slices.Contains(verifier, m) {
			fault("%s: is in the library alone", m)
		}
	}
	weight := table(text, "## Weight")
	for i, n := range []int{len(library), 0, all} {
		if n > 0 && (len(weight) != 4 || weight[i+1][1] != fmt.Sprint(n)) {
			fault("Weight: row %d is of %d modules, and doesn't say so", i+1, n)
		}
	}
	return faults
}

// TestEveryModuleIsNamedWithItsReason: what is in the program built without cgo
// verifies for strangers; nothing comes into it unseen.
func TestEveryModuleIsNamedWithItsReason(t *testing.T) {
	text, err := os.ReadFile(dependencies)
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err == nil {
		err = json.Unmarshal(out, &mod)
	}
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	var verifier []string
	for _, system := range []string{"linux", "windows", "darwin"} {
		verifier = append(verifier, modulesOf(t, "./cmd/fleetctl", "CGO_ENABLED=0", "GOOS="+system)...)
	}
	slices.Sort(verifier)
	verifier = slices.Compact(verifier)
	all := modulesOf(t, "./cmd/fleetctl", "CGO_ENABLED=1", "GOOS=linux", "GOARCH=amd64")
	library := modulesOf(t, "./attest/evidence")
	for _, f := range moduleFaults(string(text), direct, verifier, library, len(all)) {
		t.Error(f)
	}
	for _, m := range verifier {
		if strings.Contains(m, "tessera") || strings.Contains(m, "opentelemetry") || strings.Contains(m, "rekor") {
			t.Errorf("%s: writing logs is left out of the program built without cgo", m)
		}
	}
}

// TestNothingOfOursIsATemplate: text/template finds methods by their names, for
// which every method of every type is linked: a seventh of the program.
func TestNothingOfOursIsATemplate(t *testing.T) {
	for _, env := range []string{"CGO_ENABLED=0", "CGO_ENABLED=1"} {
		for name, p := range list(t, []string{env}, "./...") {
			if slices.Contains(p.Imports, "text/template") || slices.Contains(p.Imports, "html/template") {
				t.Errorf("%s imports a template package", name)
			}
		}
	}
}

func TestTheListOfModulesCanFail(t *testing.T) {
	const text = "# Dependencies\n\n| module | for | why not our own | imported by | verifier | library | licence |\n|---|---|---|---|---|---|---|\n" +
		"| `a.example/one` | x | y | z | yes | yes | MIT |\n| `a.example/two` | x | y | z | yes | no | MIT |\n| `a.example/three` | x |  | z | no | no | MIT |\n\n" +
		"## Indirect, in the program built without cgo\n\n| module | comes with | for |\n|---|---|---|\n| `a.example/four` | one | x |\n\n" +
		"## Weight\n\n| build | modules beside ours | program |\n|---|---:|---:|\n| library | 1 | – |\n| verifier | 3 | – |\n| all | 9 | – |\n"
	got := moduleFaults(text, []string{"a.example/one", "a.example/two", "a.example/six"}, []string{"a.example/one", "a.example/five"}, []string{"a.example/one"}, 10)
	want := []string{
		"a.example/two: in the program built without cgo: no, the table says yes",
		"a.example/three: its row doesn't say what it is for, why it isn't ours, or its licence",
		"a.example/six: is a direct dependency, and no row says why",
		"a.example/four: is not in the program built without cgo",
		"a.example/five: is in the program built without cgo, and nothing says why",
		"Weight: row 3 is of 10 modules, and doesn't say so",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
