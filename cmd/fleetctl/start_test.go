package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// startsWith are our packages that may do something when the program starts, whichever
// command is asked for. Each of them costs every start time and pages of memory, so a
// table of any other package is made where it is asked for. The last two lists are of
// packages that only the build with cgo has, and only tests have.
var startsWith = strings.Fields(`
	attest/evidence ceremony ceremony/state internal/cli internal/hsm internal/keys internal/qr
	internal/sshsig internal/strict internal/token internal/words

	cmd/fleetctl

	auditlog/rekor auditlog/tiled internal/fleet/guess internal/fleet/opaque internal/fleet/session internal/fleet/wire internal/tpmdevice

	attest/attesttest internal/testfleet internal/testwitness`)

func TestOfOurPackagesOnlyThoseThatAreNamedStartWithTheProgram(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.list=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(trace.String()) {
		rest, _ := strings.CutPrefix(line, "init github.com/fleetctl/fleetctl/")
		if name, _, ok := strings.Cut(rest, " @"); ok && rest != line {
			found = append(found, name)
		}
	}
	if !slices.Contains(found, "internal/keys") {
		t.Fatalf("the trace names none of them: %.500s", trace.String())
	}
	for _, name := range found {
		if !slices.Contains(startsWith, name) {
			t.Errorf("%s does something when the program starts: make its tables in a function", name)
		}
	}
}
