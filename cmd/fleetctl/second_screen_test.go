//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// secondScreen is the auditor's own machine beside a room: another process, at another
// terminal, with its own copy of the plan.
type secondScreen struct {
	k   *keyboard
	dir string
}

func sitBeside(r *rig, dir string, args ...string) *secondScreen {
	r.t.Helper()
	own := r.t.TempDir()
	plan, err := os.ReadFile(filepath.Join(dir, "plan.yaml"))
	check(r.t, err)
	check(r.t, os.WriteFile(filepath.Join(own, "my-plan.yaml"), plan, 0o600))
	cmd := r.command(own, append([]string{"screen", "my-plan.yaml", "--role", "auditor", "--dir", "screen"}, args...)...)
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	return &secondScreen{k: atTerminal(r.t, cmd, 80), dir: own}
}

var toldWords = regexp.MustCompile(`(?s)room's\s+screen:\n\s+([A-Za-z]+ [A-Za-z]+ [A-Za-z]+)\n`)

// answers types positions once words are shown, and reads what is to be typed there.
func (s *secondScreen) answers(at []string) string {
	s.k.t.Helper()
	s.k.types("in words:", "", aPrompt, strings.Join(at, " ")+"\n", "If the words that were", "", aPrompt, "")
	all := toldWords.FindAllStringSubmatch(s.k.shown()[:s.k.read], -1)
	if len(all) == 0 {
		s.k.t.Fatalf("no words are told\n%s", s.k.shown())
	}
	return all[len(all)-1][1]
}

var servedAt = regexp.MustCompile(`at\s+(http://127\.0\.0\.1:\d+)`)

// TestASecondScreenBesideARoom: a room serves where it stands, a second screen reads
// it as another process, and the words that it tells are those that the room asks for.
func TestASecondScreenBesideARoom(t *testing.T) {
	r, dir := roomWorld(t, 2)
	c := enter(r, dir, 80, "--listen", "127.0.0.1:0")
	c.stopAt = 1
	c.plays()
	at := servedAt.FindStringSubmatch(c.k.shown())
	if at == nil {
		t.Fatalf("the room doesn't say where it serves\n%s", c.k.shown())
	}
	beside := sitBeside(r, dir, "--from", at[1])
	told := 0
	c.beside = func(at []string) string { told++; return beside.answers(at) }
	c.stopAt, c.prompts, c.k.read = 0, 0, 0
	c.trouble["challenge"] = []string{"=", "=", "=", "stop"} // the plan, two keys, the matrix
	c.plays()
	if code := c.k.ends(); code != cli.ExitPending || told != 3 {
		t.Fatalf("exit code %d, %d times words were told\n%s", code, told, c.k.shown())
	}
	beside.k.say("stop")
	if code := beside.k.ends(); code != cli.ExitDone {
		t.Errorf("a screen that was told the truth ends with %d\n%s", code, beside.k.shown())
	}
	if !strings.Contains(beside.k.shown(), "every record up to it was read and") {
		t.Errorf("nothing was replayed\n%s", beside.k.shown())
	}
}

// photograph is a picture of the code that stands on a terminal without colour.
func photograph(t *testing.T, screen string) []byte {
	t.Helper()
	var rows [][]rune
	lines := strings.Split(screen, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		line := []rune(strings.TrimPrefix(lines[i], "   "))
		if isCode := len(line) == 43 && strings.Trim(string(line), "█▀▄ ") == ""; isCode {
			rows = append([][]rune{line}, rows...)
		} else if len(rows) > 0 {
			break
		}
	}
	if len(rows) != 22 {
		t.Fatalf("%d lines of a code on the screen\n%s", len(rows), screen)
	}
	const side = 6
	img := image.NewGray(image.Rect(0, 0, 43*side+80, 44*side+60)) // of a dark terminal
	for y := range 44 * side {
		for x := range 43 * side {
			c := rows[y/side/2][x/side]
			if c == '█' || c == '▀' && y/side%2 == 0 || c == '▄' && y/side%2 == 1 {
				img.SetGray(x+40, y+30, color.Gray{Y: 230})
			}
		}
	}
	var b bytes.Buffer
	check(t, png.Encode(&b, img))
	return b.Bytes()
}

// TestASecondScreenWithACameraAlone: the room's machine draws its code when somebody
// types qr, a camera takes it, and the second screen tells the words. Then the machine
// lies, in pictures: another head, an older state, another plan. Each is refused by
// name, and what was refused is on the screen's own record.
func TestASecondScreenWithACameraAlone(t *testing.T) {
	r, dir := roomWorld(t, 2)
	camera := filepath.Join(t.TempDir(), "camera")
	check(t, os.Mkdir(camera, 0o755))
	c := enter(r, dir, 80)
	beside := sitBeside(r, dir, camera)
	beside.k.types(aPrompt, "")
	pictures := 0
	takes := func(data []byte) {
		pictures++
		name := filepath.Join(camera, string(rune('a'+pictures))+".png")
		check(t, os.WriteFile(name+"~", data, 0o600))
		check(t, os.Rename(name+"~", name))
	}
	c.beside = func(at []string) string {
		c.k.say("qr")
		if !await.Happens(func() bool {
			return strings.HasSuffix(c.k.shown()[c.k.read:], aPrompt) && strings.Contains(c.k.shown()[c.k.read:], "███")
		}) {
			t.Fatalf("no code is drawn\n%s", c.k.shown())
		}
		screen := c.k.shown()
		code := screen[c.k.read:]
		c.k.read = len(screen)
		if n := strings.Count(code[strings.Index(code, "   ███"):], "\n"); n > 24 {
			t.Errorf("a code and its question take %d lines", n)
		}
		takes(photograph(t, code))
		return beside.answers(at)
	}
	c.trouble["challenge"] = []string{"=", "=", "stop"}
	c.plays()
	if code := c.k.ends(); code != cli.ExitPending {
		t.Fatalf("exit code %d\n%s", code, c.k.shown())
	}

	last := beside.last(t)
	lies := map[string]string{
		state.OlderState:  shownOf(t, r, dir, last.Record-1),
		state.AnotherHead: shownOf(t, r, anotherCeremony(r, ""), last.Record),
		state.AnotherPlan: shownOf(t, r, anotherCeremony(r, "# with a comment\n"), last.Record+2),
	}
	for name, picture := range lies {
		data, err := os.ReadFile(picture)
		check(t, err)
		beside.k.read = len(beside.k.shown())
		takes(data)
		beside.k.types("ALARM · "+strings.ToUpper(name), "", aPrompt, "")
	}
	beside.k.say("1 2 3")
	beside.k.types("shows was refused 3 times", "", aPrompt, "stop\n")
	if code := beside.k.ends(); code != cli.ExitWrong {
		t.Errorf("a screen that was lied to ends with %d", code)
	}
	kept, err := os.ReadFile(filepath.Join(beside.dir, "screen", "seen.json"))
	check(t, err)
	for name := range lies {
		if !strings.Contains(string(kept), `"name": "`+name+`"`) {
			t.Errorf("%s is not on the screen's record\n%s", name, kept)
		}
	}
	if beside.last(t) != last {
		t.Error("a lie was taken")
	}
}

// last is the last state that the screen keeps.
func (s *secondScreen) last(t *testing.T) state.State {
	t.Helper()
	kept, err := os.ReadFile(filepath.Join(s.dir, "screen", "seen.json"))
	check(t, err)
	all := regexp.MustCompile(`FLEETCTL-S1:\w+`).FindAllString(string(kept), -1)
	if len(all) == 0 {
		t.Fatalf("nothing is kept\n%s", kept)
	}
	at, err := state.Parse(all[len(all)-1])
	check(t, err)
	return at
}

// anotherCeremony is one that a machine holds with the same people, by the same plan
// unless something is added to it.
func anotherCeremony(r *rig, added string) string {
	r.t.Helper()
	dir := r.world()
	if added != "" {
		plan := filepath.Join(dir, "plan.yaml")
		data, err := os.ReadFile(plan)
		check(r.t, err)
		check(r.t, os.WriteFile(plan, append(data, added...), 0o600))
		check(r.t, os.RemoveAll(filepath.Join(dir, "plan-approvals")))
		for _, name := range []string{"olga", "omar"} {
			r.run(dir, "plan", "approve", "plan.yaml", "--key", "people/"+name)
		}
	}
	r.run(dir, "ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--unattended", "--sign-with", "people/olga", "--sign-with", "people/omar")
	return dir
}

// shownOf is the picture of where a world's ceremony stood after a record.
func shownOf(t *testing.T, r *rig, world string, record int) string {
	t.Helper()
	to := t.TempDir()
	data, err := os.ReadFile(filepath.Join(world, "ceremony", "transcript.jsonl"))
	check(t, err)
	plan, err := os.ReadFile(filepath.Join(world, "plan.yaml"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(to, "plan.yaml"), plan, 0o600))
	check(t, os.WriteFile(filepath.Join(to, "transcript.jsonl"), bytes.Join(bytes.SplitAfter(data, []byte("\n"))[:record], nil), 0o600))
	r.run(to, "ceremony", "status", ".", "--frames", "frames")
	return filepath.Join(to, "frames", fmt.Sprintf("state-%d.png", record))
}
