package ui

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/fleetctl/fleetctl/internal/words"
)

func TestColourIsDecidedInOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		color string
		plain bool
		env   string
		tty   bool
		want  bool
	}{
		{name: "a terminal", tty: true, want: true},
		{name: "a pipe"},
		{name: "auto is the default", color: "auto", tty: true, want: true},
		{name: "forced on a pipe", env: "CLICOLOR_FORCE=1", want: true},
		{name: "not forced", env: "CLICOLOR_FORCE=0"},
		{name: "dumb before forced", env: "TERM=dumb CLICOLOR_FORCE=1", tty: true},
		{name: "NO_COLOR whatever it says", env: "NO_COLOR=yes CLICOLOR_FORCE=1", tty: true},
		{name: "NO_COLOR empty is not set", env: "NO_COLOR=", tty: true, want: true},
		{name: "the flag before NO_COLOR", color: "always", env: "NO_COLOR=1 TERM=dumb", want: true},
		{name: "the flag before force", color: "never", env: "CLICOLOR_FORCE=1", tty: true},
		{name: "plain before the flag", color: "always", plain: true, tty: true},
	} {
		env := func(name string) string {
			for _, kv := range strings.Fields(c.env) {
				if v, ok := strings.CutPrefix(kv, name+"="); ok {
					return v
				}
			}
			return ""
		}
		if got := wantsColor(Options{Color: c.color, Plain: c.plain, Env: env}, c.tty); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestPlainIsKnownToWhoeverRenders(t *testing.T) {
	if o := testOutput(t, Options{Plain: true}); !o.Plain() || !o.Talk.Plain() {
		t.Error("forgotten")
	}
}

func TestColourThatIsNoChoiceIsRefused(t *testing.T) {
	if o, err := New(Options{Color: "yes"}); o != nil || err == nil || !strings.Contains(err.Error(), "always or never") {
		t.Error(o, err)
	}
}

func TestWidthIsKeptReadable(t *testing.T) {
	for asked, want := range map[int]int{0: 80, 20: 60, 60: 60, 100: 100, 500: 120} {
		if got := testOutput(t, Options{Width: asked}).Width(); got != want {
			t.Errorf("%d became %d, not %d", asked, got, want)
		}
	}
}

func TestStyle(t *testing.T) {
	p := testOutput(t, Options{Color: "always"}).Page
	for s, want := range map[Style]string{
		Proven: "\x1b[32mx\x1b[m", Wrong: "\x1b[1;31mx\x1b[m", Text: "x", Style(99): "x", Style(-1): "x",
	} {
		if got := p.Style(s, "x"); got != want {
			t.Errorf("%d: %q", s, got)
		}
	}
	if got := p.Style(Name, "\x1b[2J"); got != "\x1b[1m\\x1b[2J\x1b[m" {
		t.Errorf("%q", got)
	}
	if got := p.Style(Name, ""); got != "" {
		t.Errorf("%q", got)
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"", 5, ""},
		{"as  it is", 9, "as  it is"},
		{"one two three", 9, "one two|three"},
		{"no last word stands here alone", 28, "no last word stands|here alone"},
		{"0123456789", 4, "0123|4567|89"},
		{"ab 0123456789 c", 4, "ab|0123|4567|89 c"},
		{"東京東京", 5, "東京|東京"},
		{"東京", 1, "東京"},
	} {
		if got := strings.Join(wrap(c.text, c.n), "|"); got != c.want {
			t.Errorf("%q at %d: %q, not %q", c.text, c.n, got, c.want)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("ten of ten vendor-signed, 東京 é", 7)
	f.Fuzz(func(t *testing.T, s string, n int) {
		s = words.Clean(s)
		if n < 2 || n > 200 {
			return
		}
		lines := wrap(s, n)
		if got := strings.ReplaceAll(strings.Join(lines, ""), " ", ""); got != strings.ReplaceAll(s, " ", "") {
			t.Errorf("%q became %q", s, lines)
		}
		for _, l := range lines {
			if width(l) > n {
				t.Errorf("%q is wider than %d", l, n)
			}
		}
	})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAResultThatCantBeWrittenIsAnError(t *testing.T) {
	o := testOutput(t, Options{Stdout: full{}, Stderr: full{}})
	if err := o.Print("x"); err == nil {
		t.Error("no error")
	}
	o.Say("nobody hears this, and that's fine")
}

func TestResultAndTalkAreApart(t *testing.T) {
	var out, talk bytes.Buffer
	o := testOutput(t, Options{Stdout: &out, Stderr: &talk})
	if err := o.Print("a", "b\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(o.Stdout(), "{}\n"); err != nil {
		t.Fatal(err)
	}
	o.Say("talk\n")
	o.Error(errors.New("bad"))
	if out.String() != "ab\n{}\n" || talk.String() != "talk\nfleetctl: bad\n" {
		t.Errorf("%q and %q", out.String(), talk.String())
	}
}

func TestTableWithNothingInIt(t *testing.T) {
	p := testOutput(t, Options{}).Page
	if got := p.Table(nil, nil); got != "" {
		t.Errorf("%q", got)
	}
	if got := p.Table([]string{"a", "b"}, nil); got != "  a   b\n" {
		t.Errorf("%q", got)
	}
}

// A name that fills the line once left its text a column of three letters.
func TestWhatIsCopiedFromATableStaysWhole(t *testing.T) {
	name := strings.Repeat("a.long.namespace", 4) + "-0000000000000001.request.json"
	rows := [][]string{{"1", "2026-11-30T17:22:29Z", "a person; and another digest was submitted for the same epoch", name}}
	headers := []string{"epoch", "submitted", "waits for", "file"}
	for _, w := range []int{80, 100, 300} {
		got := Page{width: w, plain: true}.TableWhole(headers, rows)
		if !strings.Contains(got, name) {
			t.Errorf("at %d the name is broken:\n%s", w, got)
		}
		if beside := strings.Contains(got, "file"); beside != (w == 300) {
			t.Errorf("at %d:\n%s", w, got)
		}
		for line := range strings.Lines(got) {
			if width(line) > w && !strings.Contains(line, name) {
				t.Errorf("at %d: %q", w, line)
			}
		}
	}
}

func TestALongNameLeavesRoomForWhatIsSaidOfIt(t *testing.T) {
	p := testOutput(t, Options{Width: 80}).Page
	long := strings.Repeat("long/", 18)
	for name, got := range map[string]string{
		"claims": p.Claims([]ClaimLine{{Name: long, Detail: "is wrong in some way"}, {Name: "short", Detail: "too"}}),
		"fields": p.Fields([][2]string{{long, "is wrong in some way"}, {"short", "too"}}),
	} {
		lines := strings.Split(got, "\n")
		if len(lines) != 4 || strings.TrimSpace(lines[0]) != long || strings.TrimSpace(lines[1]) != "is wrong in some way" ||
			strings.Index(lines[1], "is") != strings.Index(lines[2], "too") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestAURIIsLeftWhole(t *testing.T) {
	p := testOutput(t, Options{Width: 80}).Page
	uri := "pkcs11:token=" + strings.Repeat("x", 200)
	for _, got := range []string{p.Fields([][2]string{{"key", uri}}), p.Line(uri)} {
		if lines := strings.Split(got, "\n"); len(lines) != 2 || !strings.HasSuffix(lines[0], uri) {
			t.Errorf("%q", got)
		}
	}
}

// A code of 37 squares, the largest that a ceremony shows, and the question after it
// are seen whole on a screen of 24 lines, in every look.
func TestACodeAndItsQuestionFitASmallScreen(t *testing.T) {
	modules := make([][]bool, 37)
	for y := range modules {
		modules[y] = make([]bool, 37)
		for x := range modules[y] {
			modules[y][x] = (x*x+y*7)%3 == 0
		}
	}
	bare := Page{width: 80}.Code(modules, "TEXT")
	coloured := Page{width: 80, color: true}.Code(modules, "TEXT")
	if got := (Page{width: 80, plain: true}).Code(modules, "TEXT"); got != "   TEXT\n" {
		t.Errorf("plain: %q", got)
	}
	for look, text := range map[string]string{"bare": bare, "coloured": ansi.Strip(coloured)} {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > 22 {
			t.Errorf("%s: it takes %d lines", look, len(lines))
		}
		for y := range 43 {
			for x := range 43 {
				c := []rune(lines[y/2])[len(margin)+x]
				drawn := c == '█' || c == '▀' && y%2 == 0 || c == '▄' && y%2 == 1
				dark := y >= 3 && x >= 3 && y < 40 && x < 40 && modules[y-3][x-3]
				if drawn == dark == (look == "bare") {
					t.Fatalf("%s: the square at %d, %d is wrong", look, x, y)
				}
			}
		}
	}
	if !strings.Contains(coloured, "\x1b[30;107m") {
		t.Errorf("%q", coloured[:40])
	}
}
