//go:build cgo && linux

package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

var (
	asked    = regexp.MustCompile(`from your own screen, words (\d+), (\d+) and (\d+) \(or "read"\):`)
	hexRows  = regexp.MustCompile(`(?m)^ +((?:[0-9a-f]{4} ){7}[0-9a-f]{4})\n +((?:[0-9a-f]{4} ){7}[0-9a-f]{4})$`)
	wordRows = regexp.MustCompile(`(?m)(?:^ {6}(?:[A-Za-z]+ +){3}[A-Za-z]+\n){8}`)
)

// auditor waits for a challenge and gives the words that an own screen shows of
// the digest on this one.
func (k *keyboard) auditor() string {
	k.t.Helper()
	k.types("from your own screen, words", "")
	k.types(":", "")
	screen := k.shown()
	question := asked.FindAllStringSubmatch(screen, -1)
	digests := hexRows.FindAllStringSubmatch(screen, -1)
	if len(question) == 0 || len(digests) == 0 {
		k.t.Fatalf("no challenge on the screen\n%s", screen)
	}
	last := digests[len(digests)-1]
	sum, err := hex.DecodeString(strings.ReplaceAll(last[1]+last[2], " ", ""))
	check(k.t, err)
	list := words.Encode(sum)
	var typed []string
	for _, p := range question[len(question)-1][1:] {
		var n int
		_, err := fmt.Sscan(p, &n)
		check(k.t, err)
		typed = append(typed, list[n-1])
	}
	return strings.Join(typed, " ")
}

// confirms types what the auditor's own screen shows.
func (k *keyboard) confirms() {
	k.t.Helper()
	k.say(k.auditor())
}

func (k *keyboard) say(answer string) {
	k.t.Helper()
	_, err := k.master.WriteString(answer + "\n")
	check(k.t, err)
}

func wall() string { return time.Now().UTC().Format("15:04") }

// quietly leaves out what differs from session to session.
func quietly(screen string) string {
	screen = hexRows.ReplaceAllString(screen, "      dddd dddd dddd dddd dddd dddd dddd dddd\n      dddd dddd dddd dddd dddd dddd dddd dddd")
	screen = wordRows.ReplaceAllString(screen, "      word          word          word          word\n      ⋮\n")
	for _, c := range []struct{ re, by string }{
		{`words \d+, \d+ and \d+ \(`, "words 5, 19 and 26 ("},
		{`Word \d+ is not`, "Word 5 is not"},
		{`(record \d+ ·|its head:) \w+ \w+ \w+ \w+\b`, "$1 word word word word"},
		{`word word word word ─+`, "word word word word ────"},
		{`serial as planned: [0-9a-f]{16}`, "serial as planned: 5555555555555555"},
		{`serial [0-9a-f]{16}`, "serial 5555555555555555"},
		{`(time on the wall, in UTC, as 14:05:(?:\n   >)?) \d\d:\d\d\n`, "$1 10:00\n"},
		{`today is \d{4}-\d\d-\d\d`, "today is 2026-11-21"},
		{`(words 5, 19 and 26 \(or "read"\):(?:\n   >)?) [A-Za-z]+ [A-Za-z]+ [A-Za-z]+\n`, "$1 three words\n"},
	} {
		screen = regexp.MustCompile(c.re).ReplaceAllString(screen, c.by)
	}
	return strings.Trim(screen, "\n") + "\n" // script(1) puts lines of its own around it
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// slips is a session as tired people lead it: everything is typed wrong once,
// and at the second seal the witness says stop.
func slips(k *keyboard) {
	k.t.Helper()
	k.types("three words of your own choosing", "alpha beta\n",
		"That is 2 words; three are wanted", "", "three words of your own choosing", "alpha beta gamma\n",
		"the time on the wall", "5 o'clock\n", "is no time like 14:05", "", "the time on the wall", wall()+"\n")
	k.auditor()
	k.say("these are wrong")
	k.types("is not \"these\"", "")
	k.confirms()
	k.types("number on the seal of hsm-1", "4471\n", "read again", "4417\n", "are not the same", "",
		"number on the seal of hsm-1", "4471\n", "read again", "4471\n", "number on the seal of hsm-2", "stop\n")
}

// slipped is such a session to its end: nothing is lost.
func slipped(k *keyboard) string {
	k.t.Helper()
	slips(k)
	if code := k.ends(); code != cli.ExitPending {
		k.t.Fatalf("exit code %d\n%s", code, k.shown())
	}
	return k.shown()
}

// TestASessionAtATerminal holds what the room sees, at two widths, plain and
// without colour; with colour the words are the same.
func TestASessionAtATerminal(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name    string
		columns int
		args    []string
		env     string
	}{
		{"session-80-no-color.txt", 80, nil, "NO_COLOR=1"},
		{"session-80-plain.txt", 80, []string{"--plain"}, "TERM=xterm"},
		{"session-120-no-color.txt", 120, nil, "NO_COLOR=1"},
		{"session-120-plain.txt", 120, []string{"--plain"}, "TERM=xterm"},
		{"session-80-no-color.txt", 80, []string{"--color", "always"}, "TERM=xterm-256color"},
	} {
		dir := r.world()
		cmd := r.command(dir, append([]string{"ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony"}, c.args...)...)
		cmd.Env = append(cmd.Env, c.env)
		screen := slipped(atTerminal(t, cmd, c.columns))
		coloured := strings.Contains(screen, "\x1b[")
		if want := strings.Contains(strings.Join(c.args, " "), "always"); coloured != want {
			t.Errorf("%s, %q: has escape sequences: %v", c.name, c.args, coloured)
		}
		screen = quietly(escapes.ReplaceAllString(screen, ""))
		for line := range strings.Lines(screen) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > c.columns && !strings.Contains(line, "run the same command") {
				t.Errorf("%s: a line of %d columns: %s", c.name, n, line)
			}
		}
		golden(t, c.name, screen)
	}
}

// TestASessionUnderScript: script(1) sits between; what it keeps is what was
// seen.
func TestASessionUnderScript(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		absent(t, "script(1) is not installed (apt-get install bsdutils)")
	}
	r := newRig(t)
	dir := r.world()
	cmd := r.command(dir)
	cmd.Path, cmd.Args = script, []string{"script", "-qec", r.binary + " ceremony run plan.yaml --site site.yaml --dir ceremony", "typescript"}
	cmd.Env = append(cmd.Env, "NO_COLOR=1", "SHELL=/bin/sh")
	slipped(atTerminal(t, cmd, 80))
	kept, err := os.ReadFile(filepath.Join(dir, "typescript"))
	check(t, err)
	text := strings.ReplaceAll(string(kept), "\r", "")
	text = regexp.MustCompile(`(?m)^Script (started|done).*\n`).ReplaceAllString(text, "")
	golden(t, "session-80-no-color.txt", quietly(text))
}
