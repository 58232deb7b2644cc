package ui

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
)

type hinted struct{ error }

func (hinted) Hint() string { return "unplug it" }

func TestFault(t *testing.T) {
	at := func(n int) *strict.Error { return strict.At("f", n, "bad") }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"nothing":         {nil, ""},
		"one":             {errors.New("bad"), "fleetctl: bad\n"},
		"a hint":          {at(1).WithHint("do this\nthen that"), "fleetctl: f:1: bad\n          do this\n          then that\n"},
		"a hint within":   {fmt.Errorf("plan: %w", at(1).WithHint("do this")), "fleetctl: plan: f:1: bad\n          do this\n"},
		"another's hint":  {fmt.Errorf("token: %w", hinted{errors.New("hot")}), "fleetctl: token: hot\n          unplug it\n"},
		"a list":          {strict.Errors{at(1), at(2).WithHint("h")}, "fleetctl: f:1: bad\nfleetctl: f:2: bad\n          h\n"},
		"a wrapped list":  {fmt.Errorf("plan: %w", strict.Errors{at(1), at(2)}), "fleetctl: plan: f:1: bad\nfleetctl: plan: f:2: bad\n"},
		"a list amid":     {fmt.Errorf("plan: %w; sorry", strict.Errors{at(1), at(2)}), "fleetctl: plan: f:1: bad\n          f:2: bad; sorry\n"},
		"joined":          {errors.Join(errors.New("a"), strict.Errors{at(1), at(2)}), "fleetctl: a\nfleetctl: f:1: bad\nfleetctl: f:2: bad\n"},
		"joined one":      {errors.Join(at(1)), "fleetctl: f:1: bad\n"},
		"two in one line": {fmt.Errorf("%w while %w", at(1), errors.New("b")), "fleetctl: f:1: bad while b\n"},
		"several lines":   {errors.New("a\n\tb\n"), "fleetctl: a\n            b\n"},
		"hostile":         {errors.New("a\x1b[31m\rb"), "fleetctl: a\\x1b[31m\\rb\n"},
		"hostile hint":    {at(1).WithHint("\x1b[2J"), "fleetctl: f:1: bad\n          \\x1b[2J\n"},
		"no words at all": {errors.New(""), "fleetctl: failed without saying why\n"},
	} {
		if got := testOutput(t, Options{}).Fault(c.err); got != c.want {
			t.Errorf("%s:\n%swant\n%s", name, got, c.want)
		}
	}
}

// In a log that nobody folds, one error is one line, however long.
func TestErrorsInALogAreNotFolded(t *testing.T) {
	long := errors.New("a message of many words that goes on and on well past the eightieth column of the screen")
	if got := testOutput(t, Options{}).Fault(long); got != "fleetctl: "+long.Error()+"\n" {
		t.Errorf("%q", got)
	}
	if got := testOutput(t, Options{Width: 80}).Fault(long); got == "fleetctl: "+long.Error()+"\n" {
		t.Error("not folded on a screen")
	}
}

// A file that somebody else made may have any number of faults.
func TestManyErrorsAreCounted(t *testing.T) {
	var list strict.Errors
	for n := range 12_345 {
		list = append(list, strict.At("f", n+1, "bad"))
	}
	got := strings.Split(strings.TrimSpace(testOutput(t, Options{}).Fault(list)), "\n")
	if len(got) != 51 || got[49] != "fleetctl: f:50: bad" || got[50] != "fleetctl: and 12,295 more" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}
