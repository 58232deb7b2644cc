//go:build cgo && linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

// troubles are a ceremony as tired people go through it, an evening and the next
// days: what they do wrong in each process, and how each ends.
var troubles = []struct {
	name string
	does map[string][]string
	ends int
}{
	{"the first evening", map[string][]string{
		"words": {"two words"}, "exception": {"=", "back"}, "reason": {"back"}, "clock": {"5 o'clock"},
		"challenge": {"these are wrong", "read", "=", "exception", "adjourn", "=", "adjourn"},
		"seal":      {"4471", "4417", "=", "=", "4471"}, "sign approve open": {"nobody approve open", "olga agree", "$ omar open-after-*.txt"},
		"PIN": {"exception", "exception", "canary-wrong-1"}, "consent": {"maybe", "=", "try"},
	}, cli.ExitPending},
	{"the next morning", map[string][]string{
		"bag": {"1234"}, "challenge": {"kill"}, "sign approve reconvene": {"$ misfit namespace", "$ misfit text", "$ misfit name"},
	}, -1},
	{"after the power cut", map[string][]string{
		"sign agree": {"read", "olga agree", "wanda agree and approve request", "=", "=", "ada do not agree", "ada agree with exceptions 7", "close", "ada agree with exceptions", "ozan agree"},
		"close":      {"ozan do not agree"}, "response": {"$ misfit answer", "stop"},
	}, cli.ExitPending},
	{"when the answer has come", nil, cli.ExitDone},
}

// troubled is such a ceremony: what stood on the screen, process by process.
func troubled(t *testing.T, plain bool, sit func(r *rig, dir string, n int) *cast) string {
	t.Helper()
	r, dir := roomWorld(t, 2)
	var screens []string
	for n, part := range troubles {
		c := sit(r, dir, n)
		c.plain, c.trouble = plain, map[string][]string{}
		for kind, list := range part.does {
			c.trouble[kind] = list
		}
		killed := c.plays()
		if killed {
			c.kills()
		}
		if code := c.k.ends(); !killed && code != part.ends || killed != (part.ends < 0) {
			t.Fatalf("%s: exit code %d\n%s", part.name, code, c.k.shown())
		}
		for kind, list := range c.trouble {
			if len(list) > 0 {
				t.Errorf("%s: %s was not asked as often as that: %q is left", part.name, kind, list)
			}
		}
		if strings.Contains(c.k.shown(), "canary-wrong") || strings.Contains(c.k.shown(), "pin-of-") {
			t.Errorf("%s: a PIN is on the screen", part.name)
		}
		screens = append(screens, "=== "+part.name+"\n"+steadyRoom(c.k.shown()))
	}
	published(r, dir)
	return strings.Join(screens, "")
}

// kills the program itself, which may run below another one.
func (c *cast) kills() {
	c.k.t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/exe")
	check(c.k.t, err)
	for _, link := range list {
		var pid int
		fmt.Sscanf(link, "/proc/%d/exe", &pid)
		at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if exe, _ := os.Readlink(link); err == nil && exe == c.rig.binary && at == c.dir {
			check(c.k.t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	if !await.Happens(c.k.isOver) {
		c.k.t.Fatal("it isn't killed")
	}
}

// steadyRoom leaves out what differs from one ceremony to the next.
func steadyRoom(screen string) string {
	screen = quietly(escapes.ReplaceAllString(screen, ""))
	list := `(?:` + strings.Join(allWords(), "|") + `)`
	for _, c := range []struct{ re, by string }{
		{`(?m)^Script (started|done).*\n`, ""},
		{`(?m)(?:^  \+   session .*\n(?: {20,}.*\n)*)+`, "  +   session …\n"},
		{`(?s)(The head that it follows:)\s+(record \d+) ·\s+\w+\s+\w+\s+\w+\s+\w+\n`, "$1 $2 · word word word word\n"},
		{`(?m)^( *)ran( +)20\d\d-.*\n(?: {10,}.*\n)?`, "${1}ran${2}TIMES\n"},
		{`(?m)^( {2,})20\d\d-\d\d-\d\d$`, "${1}2026-11-21"},
		{`(?m)^( {2,})\d\d:\d\d  `, "${1}10:00  "},
		{`(?m)^( +)That is \d+ lines:`, "${1}That is N lines:"},
		{`(?m)^ +Enter shows the next lines, of which there are \d+:\s*?\n(?: +> *\n)?`, ""},
		{`\b[0-9a-f]{64}\b`, "dddddddd"},
		{`backup\.1\.\d{8}\.[0-9a-f]{8}`, "backup.1.20261121.dddddddd"},
		{`[A-Za-z0-9+/]{86}==`, "bbbbbbbb"},
		{`(?m)^( {8})[A-Za-z0-9+/]{71}\n {8}[A-Za-z0-9+/]{15}==$`, "${1}bbbbbbbb"},
		{`[A-Za-z0-9+/]{43}=`, "bbbbbbbb"},
		{`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "2026-11-21T10:00:00Z"},
		{`(?m)^( +)` + list + ` ` + list + ` ` + list + ` ` + list + ` …$`, "${1}word word word word …"},
		{`(?m)(id=%01\?module-path=)\S+`, "${1}MODULE"},
	} {
		screen = regexp.MustCompile(c.re).ReplaceAllString(screen, c.by)
	}
	return strings.Trim(screen, "\n") + "\n"
}

func allWords() (list []string) {
	for i := range 256 {
		list = append(list, words.Encode([]byte{byte(i), byte(i)})...)
	}
	return list
}

// TestARoomWithEveryKindOfTrouble holds what the room sees, at two widths, plain and
// without colour: wrong words, a wrong PIN, an unknown name, a signature from
// elsewhere, an exception, an adjournment, another seal, a power cut, somebody who
// doesn't agree, and stop. What comes of it verifies.
func TestARoomWithEveryKindOfTrouble(t *testing.T) {
	for _, columns := range []int{80, 120} {
		for name, args := range map[string][]string{"no-color": nil, "plain": {"--plain"}} {
			screen := troubled(t, name == "plain", func(r *rig, dir string, _ int) *cast { return enter(r, dir, columns, args...) })
			for line := range strings.Lines(screen) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); name != "plain" && n > columns {
					t.Errorf("%d, %s: a line of %d columns: %s", columns, name, n, line)
				}
			}
			golden(t, fmt.Sprintf("room-%d-%s.txt", columns, name), screen)
		}
	}
}

// TestARoomUnderScript: script(1) sits between; what it keeps is what was seen.
func TestARoomUnderScript(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		absent(t, "script(1) is not installed (apt-get install bsdutils)")
	}
	kept := ""
	troubled(t, false, func(r *rig, dir string, n int) *cast {
		if n > 0 {
			kept += typescript(t, dir, n-1)
		}
		line := "exec " + r.binary
		for _, a := range roomArgs() {
			line += " " + words.ShellQuoted(a)
		}
		cmd := r.command(dir)
		cmd.Path, cmd.Args = script, []string{"script", "-qfec", line, fmt.Sprintf("typescript-%d", n)}
		cmd.Env = append(cmd.Env, "NO_COLOR=1", "SHELL=/bin/sh")
		t.Cleanup(func() {
			if n == len(troubles)-1 {
				golden(t, "room-80-no-color.txt", kept+typescript(t, dir, n))
			}
		})
		return &cast{k: atTerminal(t, cmd, 80), dir: dir, rig: r}
	})
}

func typescript(t *testing.T, dir string, n int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("typescript-%d", n)))
	check(t, err)
	return "=== " + troubles[n].name + "\n" + steadyRoom(strings.ReplaceAll(string(text), "\r", ""))
}
