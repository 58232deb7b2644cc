package ui

import (
	"os/exec"
	"strings"
	"testing"
)

// A command that is wider than the screen is broken where a shell reads on, so that
// what is copied from the screen is still the command.
func TestACommandIsBrokenWhereAShellReadsOn(t *testing.T) {
	for _, command := range []string{
		"fleetctl ceremony exception ceremony --expected 'a seal on the left side' --happened 'it is on the  right' --decided 'that is --as it may' --absent wim",
		`fleetctl bundle countersign ceremony --key "pkcs11:token=operator;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/pins/operator" --sign-with people/olga`,
		"fleetctl ceremony status drill",
	} {
		for _, p := range []Page{{width: 60, folded: true}, {width: 80, folded: true}} {
			shown := strings.TrimPrefix(p.Line(command), margin)
			out, err := exec.Command("sh", "-c", `fleetctl() { printf '<%s>' "$@"; }; `+shown).Output()
			if err != nil {
				t.Fatal(err)
			}
			want, err := exec.Command("sh", "-c", `fleetctl() { printf '<%s>' "$@"; }; `+command).Output()
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != string(want) {
				t.Errorf("at %d columns a shell reads %s, and not %s", p.width, out, want)
			}
			for line := range strings.Lines(shown) {
				if !strings.Contains(line, "pkcs11:") && width(strings.TrimRight(line, "\n")) > p.lineWidth() {
					t.Errorf("a line of more than %d columns: %s", p.lineWidth(), line)
				}
			}
		}
	}
	command := "ssh-keygen -Y sign -n fleetctl-session-rehearsal -f people/olga-the-officer.key open.txt.of-today"
	if got := (Page{width: 80}).Line(command); strings.Contains(got, `\`) || !strings.Contains(got, command) {
		t.Errorf("into a file, where nobody reads lines, it is broken: %q", got)
	}
}
