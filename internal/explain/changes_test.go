package explain

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryChangeOfAPlanIsTold: each edit of the specification's example by name and
// value, and one of comments as that.
func TestEveryChangeOfAPlanIsTold(t *testing.T) {
	const plan = `format: fleetctl plan v1
# a comment
epoch: 7
hsms:
  - {name: hsm-1, site: fra, serial: "0042"}
  - {name: hsm-2, site: iad, serial: "0043", tolerates: [relax-sensitive]}
people:
  - {name: olga, role: officer, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFeM1uRunRFdSIxHBt6xbfHQBBc88uJD4g9wxzPYdkvS}
  - {name: olga, role: officer, key: ssh-ed25519 BBBB}
threshold: 2
lockdown: [Bag it, Lock it]
`
	for edit, want := range map[string][]string{
		"epoch: 7|epoch: 8":                          {"epoch: was 7, is 8"},
		"site: fra|site: iad":                        {"hsms hsm-1 site: was fra, is iad"},
		"name: hsm-2|name: hsm-3":                    {"hsms hsm-3: is new: site iad, serial 0043, tolerates [relax-sensitive]", "hsms hsm-2: is gone; it was site iad, serial 0043, tolerates [relax-sensitive]"},
		", tolerates: [relax-sensitive]|":            {"hsms hsm-2 tolerates: is gone; it was [relax-sensitive]"},
		"PYdkvS|PYdkvT":                              {"people olga key: was ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFeM1uRunRFdSIxHBt6xbfHQBBc88uJD4g9wxzPYdkvS, is ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFeM1uRunRFdSIxHBt6xbfHQBBc88uJD4g9wxzPYdkvT"},
		"BBBB|CCCC":                                  {"people olga (2) key: was ssh-ed25519 BBBB, is ssh-ed25519 CCCC"},
		"[Bag it, Lock it]|[Lock it, Bag it]":        {"lockdown: was [Bag it, Lock it], is [Lock it, Bag it]"},
		"threshold: 2\n|threshold: 2\nmodels: [x]\n": {"models: is new: [x]"},
		"threshold: 2|threshold: [2]":                {"threshold: was 2, is [2]"},
		"# a comment|# another":                      {"comments or layout alone: every value is as it was"},
		"olga, role: officer, key: ssh-ed25519 AAAA|omar, role: officer, key: ssh-ed25519 AAAA": {
			"people omar: is new: role officer, key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFeM1uRunRFdSIxHBt6xbfHQBBc88uJD4g9wxzPYdkvS",
			"people olga key: was ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFeM1uRunRFdSIxHBt6xbfHQBBc88uJD4g9wxzPYdkvS, is ssh-ed25519 BBBB",
			"people olga (2): is gone; it was role officer, key ssh-ed25519 BBBB"},
	} {
		before, after, _ := strings.Cut(edit, "|")
		newer := strings.Replace(plan, before, after, 1)
		if newer == plan {
			t.Fatalf("%q changes nothing", edit)
		}
		got, err := PlanChanges([]byte(plan), []byte(newer))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", edit, got, err, want)
		}
	}
	long := strings.Repeat("x", 200)
	if got, err := PlanChanges([]byte("a: ["+long+"1]\n"), []byte("a: ["+long+"2]\n")); err != nil || len(got) != 1 || !strings.Contains(got[0], "x2]…") {
		t.Errorf("the end of a long list: %q, %v", got, err)
	}
	if got, err := PlanChanges([]byte(plan), []byte(plan)); err != nil || got != nil {
		t.Errorf("the same: %q, %v", got, err)
	}
	swapped := strings.Replace(strings.Replace(plan, "name: hsm-1, site: fra, serial: \"0042\"", "X", 1), "name: hsm-2, site: iad, serial: \"0043\", tolerates: [relax-sensitive]", "name: hsm-1, site: fra, serial: \"0042\"", 1)
	swapped = strings.Replace(swapped, "X", "name: hsm-2, site: iad, serial: \"0043\", tolerates: [relax-sensitive]", 1)
	if got, err := PlanChanges([]byte(plan), []byte(swapped)); err != nil || !slices.Equal(got, []string{"hsms: the order is another: hsm-2, hsm-1"}) {
		t.Errorf("swapped: %q, %v", got, err)
	}
}

func FuzzPlanChanges(f *testing.F) {
	spec, err := os.ReadFile("../../docs/SPEC.md")
	if err != nil {
		f.Fatal(err)
	}
	_, plan, _ := strings.Cut(string(spec), "```yaml\nformat: fleetctl plan v1")
	plan, _, _ = strings.Cut("format: fleetctl plan v1"+plan, "```")
	f.Add([]byte(plan), []byte(strings.Replace(plan, "epoch: 1", "epoch: 2", 1)))
	f.Add([]byte("a: [{name: x, key: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}]"), []byte("a: [{name: x}, 1]"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got, err := PlanChanges(a, b)
		if err == nil && (len(got) == 0) != (string(a) == string(b)) {
			t.Errorf("%q and %q: %q", a, b, got)
		}
	})
}
