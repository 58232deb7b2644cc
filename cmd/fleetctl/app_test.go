package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestHelpThatCantBeWrittenIsAFailure, as any other result is.
func TestHelpThatCantBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help", "verify"}, {"verify", "--help"}, {"plan"}, {}, {"version"}} {
		var talk bytes.Buffer
		code := run(t.Context(), strings.NewReader(""), fullDisk{}, &talk, args)
		if code != cli.ExitFailed || !strings.Contains(talk.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%q: exit code %d, %q", args, code, talk.String())
		}
		if code, _, talk := runApp(args...); code != cli.ExitDone {
			t.Errorf("%q: exit code %d, %q", args, code, talk)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
