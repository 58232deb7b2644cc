package strict

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// plainMessage asks that each line of a refusal is one that we wrote: no
// control characters, no invalid UTF-8, no endless quotes.
func plainMessage(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var list Errors
	if !errors.As(err, &list) {
		var one *Error
		if !errors.As(err, &one) {
			t.Fatalf("%T is no *Error: %v", err, err)
		}
		list = Errors{one}
	}
	for _, e := range list {
		s := e.Error()
		if !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0 || len(e.Msg) > 1000 {
			t.Fatalf("not fit for a terminal: %q", s)
		}
		if e.Line < 0 {
			t.Fatalf("has line %d: %s", e.Line, s)
		}
	}
}

func TestErrorNamesFileAndLineAsFarAsKnown(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{Errorf("", "m %d", 1), "m 1"},
		{Errorf("f", "m"), "f: m"},
		{At("f", 3, "m"), "f:3: m"},
		{At("", 3, "m"), "line 3: m"},
		{At("f", 3, "m").WithHint("do %s", "this"), "f:3: m"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if h := At("f", 3, "m").WithHint("do %s", "this").Hint; h != "do this" {
		t.Error(h)
	}
}

func TestErrorsIsNilWhereNothingWasFound(t *testing.T) {
	var e Errors
	e.Add(nil)
	if err := e.Err(); err != nil {
		t.Fatalf("%#v", err)
	}
	e.Add(errors.New("a"))
	e.Add(fmt.Errorf("wrapped: %w", Errors{At("f", 1, "b"), At("f", 2, "c")}))
	e.Add(fmt.Errorf("wrapped: %w", At("f", 3, "d")))
	if got := e.Err().Error(); got != "a\nf:1: b\nf:2: c\nf:3: d" {
		t.Error(got)
	}
}

func TestKindsHaveNames(t *testing.T) {
	for k := Null; k <= Object+1; k++ {
		if k.String() == "" || (k.String() == "an unknown kind") != (k > Object) {
			t.Errorf("%d: %s", k, k)
		}
	}
}
