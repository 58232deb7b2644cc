package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/ui"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestHelpThatCantBeWrittenIsAFailure, as any other result is.
func TestHelpThatCantBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help", "verify"}, {"verify", "--help"}, {"plan"}, {}, {"version"}} {
		var talk bytes.Buffer
		code := run(t.Context(), strings.NewReader(""), fullDisk{}, &talk, args)
		if code != exitFailed || !strings.Contains(talk.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%q: exit code %d, %q", args, code, talk.String())
		}
		if code, _, talk := runApp(args...); code != exitDone {
			t.Errorf("%q: exit code %d, %q", args, code, talk)
		}
	}
}

// TestAnInterruptIsCalledThat, wherever it struck, and nothing else is.
func TestAnInterruptIsCalledThat(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "fleetctl: interrupted\n          run the same command again: what was finished stays\n"},
		{fmt.Errorf("stopped before step 3: %w", context.Canceled), "fleetctl: stopped before step 3: interrupted\n          run the same command again: what was finished stays\n"},
		{errors.New("the token says context canceled"), "fleetctl: the token says context canceled\n"},
	} {
		var talk bytes.Buffer
		o, err := ui.New(ui.Options{Stdout: &talk, Stderr: &talk, Stdin: strings.NewReader(""), Plain: true})
		if err != nil {
			t.Fatal(err)
		}
		if o.Error(plainly(c.err)); talk.String() != c.want {
			t.Errorf("%v is told as %q", c.err, talk.String())
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
