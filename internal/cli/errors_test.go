package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/ui"
)

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
