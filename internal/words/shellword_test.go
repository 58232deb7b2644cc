package words

import (
	"os/exec"
	"strings"
	"testing"
)

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"":                "''",
		"evidence.tar":    "evidence.tar",
		"a/b-c_d.e":       "a/b-c_d.e",
		"a b":             "'a b'",
		"it's":            `'it'\''s'`,
		"'; rm -rf ~ #":   `''\''; rm -rf ~ #'`,
		"x|sh":            "'x|sh'",
		"$(sh)":           "'$(sh)'",
		"`sh`":            "'`sh`'",
		"~root":           "'~root'",
		"a\nb":            `$'a\012b'`,
		"a\x1b[2J'":       `$'a\033\1332J\047'`,
		"a\xffb":          `$'a\377b'`,
		"\u202ea":         `$'\342\200\256a'`,
		"ä":               "'ä'",
		"--policy=x":      "./--policy=x",
		"-":               "-",
		"pkcs11:id=%01;a": "'pkcs11:id=%01;a'",
	} {
		if got := ShellWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

// What a shell makes of it is the word again.
func FuzzShellWord(f *testing.F) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		f.Skip("no bash here")
	}
	for _, s := range []string{"a", "it's", "a b\nc", "\xff", "'; sh #", "-x", "\\", "!!", "{a,b}", "*", "1\u00a02"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\x00") {
			t.Skip("no argument has a NUL")
		}
		word := ShellWord(s)
		out, err := exec.Command(bash, "--norc", "-c", "printf %s "+word).Output()
		if err != nil || strings.TrimPrefix(string(out), "./") != strings.TrimPrefix(s, "./") {
			t.Errorf("%q is written %s and read %q: %v", s, word, out, err)
		}
	})
}
