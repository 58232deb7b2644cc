package byhand_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each case calls a function of the scripts with a text of somebody who wants more than
// to be judged.
func TestNoTextRunsACommandIsPassedOverOrWritesAVerdict(t *testing.T) {
	needTools(t)
	for name, c := range map[string]struct{ call, want, never string }{
		"a group's number that is a command": {call: `GROUP[g]='a[$(touch${IFS}ran)] w'; COUNTED[w]=yes; met g || echo refused`, want: "\nrefused\n"},
		"a group that wants nobody":          {call: `GROUP[g]='0 w'; met g || echo refused`, want: "\nrefused\n"},
		"a witness whose name is a command": {call: `w='x[$(touch${IFS}ran)]'; STAMP[$w]=3; COUNTED[$w]=yes; quorum=$w; earliest 1 ''; echo counted`,
			want: "counted\n"},
		"a digest that sha256sum takes for a comment": {
			call: `echo good >good; echo bad >bad; FILES[good]=1 FILES[bad]=1; { sha256sum good; echo "#0  bad"; } >list; digests list "the close record"; echo "${#failed[@]} failed"`,
			want: "\n1 failed\n", never: "ok  "},
		"a signature that obeys no terminal": {call: `puthex out $'00\e[2J\nok           package: all is well'`, never: "\x1b"},
		"a key that has a line of its own":   {call: `put64 out $'AA==\nok           package: all is well' || true`, never: "\nok  "},
		"a fault that has a line of its own": {call: `fail $'x\nok           package: all is well'`, want: "FAILED", never: "\nok  "},
		"a plan whose threshold overflows": {call: `mkdir p; cd p; echo "threshold: 18446744073709551617" >plan.yaml; : >../allowed; least=1; planned; echo "${undecided[package]:-0} undecided"`,
			want: "\n1 undecided\n"},
	} {
		dir := t.TempDir()
		parts := must(filepath.Abs("."))
		script := "cd " + dir + "\nfor part in base people log; do . " + parts + "/$part.sh; done\nmode=production ceremony=c\n" + c.call + "\nfinished=1\n"
		check(t, os.WriteFile(filepath.Join(dir, "case.sh"), []byte(script), 0o600))
		code, out := bash(t, dir, "case.sh")
		if code != 0 || !strings.Contains("\n"+out, c.want) || c.never != "" && strings.Contains("\n"+out, c.never) {
			t.Errorf("%s: exit code %d:\n%s", name, code, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
			t.Errorf("%s: it ran a command", name)
		}
	}
}
