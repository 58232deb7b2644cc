package screen_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/screen"
	"github.com/fleetctl/fleetctl/internal/statepage"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// room is a ceremony's machine, as far as it has come.
type room struct {
	t       testing.TB
	plan    *ceremony.Plan
	records []*ceremony.Record
	states  []state.State // after each record, before the first too
}

// held runs a plan to its fleet check; another run has other records from the first on.
func held(t testing.TB, fleet, run string, alg keys.Algorithm) *room {
	t.Helper()
	f := testfleet.Prepared(t, testfleet.Options{Name: fleet, HSMs: 2, Roles: []draft.Role{{Name: "sealing", Algorithm: alg}}})
	c := f.Config(filepath.Join(testfleet.TempDir(t), run), testfleet.Random(run))
	must(engine.Run(t.Context(), c))
	x := &room{t: t, plan: c.Plan}
	x.records = must(ceremony.ParseTranscript("t", must(os.ReadFile(filepath.Join(c.Dir, ceremony.TranscriptFile))), c.Plan.Digest())).Records
	a := ceremony.NewAccount(c.Plan)
	x.states = append(x.states, must(state.Of(a)))
	for _, r := range x.records {
		if err := a.Apply(r); err != nil {
			t.Fatal(err)
		}
		x.states = append(x.states, must(state.Of(a)))
	}
	return x
}

// after is the n-th state in which the ceremony waits for something.
func (x *room) after(wants state.Wants, n int) int {
	x.t.Helper()
	for i, s := range x.states {
		if s.Wants == wants {
			if n--; n == 0 {
				return i
			}
		}
	}
	x.t.Fatalf("the ceremony never waits for %d", wants)
	return 0
}

func (x *room) transcript(n int) []byte {
	var b bytes.Buffer
	for _, r := range x.records[:n] {
		b.Write(r.Line())
	}
	return b.Bytes()
}

// picture draws a state's code into a folder, as a camera would leave it.
func (x *room) picture(dir, name string, n int) {
	x.t.Helper()
	check(x.t, os.WriteFile(filepath.Join(dir, name), must(qr.PNG(x.states[n].String())), 0o600))
}

// chain draws the records after one up to another as frames.
func (x *room) chain(dir string, after, to int) {
	x.t.Helper()
	a, tr, err := ceremony.Replay(x.plan, "t", x.transcript(to))
	check(x.t, err)
	for i, text := range must(qr.Split(must(state.ChainOf(a, tr.Records, after)).Encode())) {
		check(x.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("chain-%d-%d-%d.png", after, to, i)), must(qr.PNG(text)), 0o600))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// seat is somebody at a second screen.
type seat struct {
	dir, role, from string
	look            []string
	options         ui.Options
}

// types has lines typed at it until the input ends.
func (s *seat) types(t testing.TB, x *room, lines ...string) (screenText, result string, code int) {
	t.Helper()
	var out, talk bytes.Buffer
	a := cli.New(strings.NewReader(strings.Join(lines, "\n")+"\n"), &out, &talk)
	a.Screen, a.Plain, a.Format, a.Color, a.Random = s.options, s.options.Plain, "text", "auto", rand.Reader
	check(t, a.SetUp())
	v := screen.Screen{App: a, Plan: x.plan, Role: s.role, Dir: s.dir, From: s.from, Look: s.look}
	err := v.Run(context.Background())
	if err != nil {
		a.UI.Error(err)
	}
	return talk.String(), out.String(), cli.ExitCode(err)
}

func auditor(t testing.TB, look ...string) *seat {
	return &seat{dir: filepath.Join(t.TempDir(), "screen"), role: ceremony.Auditor, look: look}
}

// wants looks for what is said, however it is folded.
func wants(t testing.TB, text string, parts ...string) {
	t.Helper()
	folded := strings.Join(strings.Fields(text), " ")
	for _, p := range parts {
		if !strings.Contains(folded, strings.Join(strings.Fields(p), " ")) {
			t.Errorf("there is no %q in\n%s", p, text)
		}
	}
}

// answersWith is the line that is typed in the room for positions.
func answersWith(s state.State, positions ...int) string {
	var list []string
	for _, n := range positions {
		list = append(list, words.Encode(s.Subject[:])[n-1])
	}
	return strings.Join(list, " ")
}

func TestPositionsAreAnsweredWithTheWordsOfWhatIsShown(t *testing.T) {
	x := held(t, "answers", "run", keys.Ed25519)
	camera := t.TempDir()
	s := auditor(t, camera)
	text, _, code := s.types(t, x, "5 19 26")
	wants(t, text, "Nothing was shown yet", "No words are asked for")
	if code != cli.ExitDone {
		t.Error(code)
	}
	at := x.after(state.Words, 2)
	x.picture(camera, "1.png", at)
	check(t, os.WriteFile(filepath.Join(camera, "2.png"), []byte("\x89PNG\r\n half a picture"), 0o600))
	text, out, code := s.types(t, x, "5, 19 and 26", "33", "nothing")
	wants(t, text, "The new sealing key of hsm-1, in words:", "the room's machine says so", answersWith(x.states[at], 5, 19, 26), "There is no word 33", `"nothing" is no file`, "do        Has the key's words shown", `confirm   The words heard are those on my own screen.`)
	wants(t, out, fmt.Sprintf("record %d", at))
	if code != cli.ExitDone {
		t.Error(code)
	}
	// The code may be typed by a scanner, and a witness has another checklist.
	w := &seat{dir: filepath.Join(t.TempDir(), "w"), role: ceremony.Witness}
	seals := 4 // the first intake
	text, _, _ = w.types(t, x, x.states[seals-1].String(), "peer")
	wants(t, text, "WITNESS'S SCREEN", `do    Reads the number on its seal and types it.`, `"The seal of hsm-1 is whole. Its number is …"`, "this is a witness's screen")
	if strings.Contains(text, "Reads the seal again") {
		t.Error("a witness is told the auditor's part")
	}
}

// The machine in the room lies over pictures alone: another head, an older state,
// another plan. Each is refused by name, kept, and told again by a screen that is
// started anew.
func TestAMachineThatLiesInPicturesIsRefusedByName(t *testing.T) {
	x, y := held(t, "lies", "run", keys.Ed25519), held(t, "lies", "another run", keys.Ed25519)
	z := held(t, "other plan", "run", keys.Ed25519)
	for name, c := range map[string]struct {
		from *room
		show func(from *room, dir string)
	}{
		state.AnotherHead:         {y, func(from *room, dir string) { from.picture(dir, "9.png", 12) }},
		state.OlderState:          {x, func(from *room, dir string) { from.picture(dir, "9.png", 7) }},
		state.AnotherPlan:         {z, func(from *room, dir string) { from.picture(dir, "9.png", 14) }},
		"another head in a chain": {y, func(from *room, dir string) { from.chain(dir, 0, 16) }},
	} {
		camera := t.TempDir()
		s := auditor(t, camera)
		x.picture(camera, "1.png", 5)
		x.picture(camera, "2.png", 12)
		if text, _, code := s.types(t, x); code != cli.ExitDone {
			t.Fatalf("%s: the truth is refused: %d\n%s", name, code, text)
		}
		c.show(c.from, camera)
		is := strings.TrimSuffix(name, " in a chain")
		text, out, code := s.types(t, x)
		wants(t, text, "ALARM · "+strings.ToUpper(is), is+": ")
		wants(t, out, "REFUSED", "after record 12: "+is)
		if code != cli.ExitWrong {
			t.Errorf("%s: exit code %d", name, code)
		}
		// The picture is gone, the alarm isn't; the pictures of before are no trouble.
		s.look = nil
		text, _, code = s.types(t, x, x.states[14].String())
		wants(t, text, "This screen goes on after record 12", "REFUSED after record 12: "+is, "Don't sign")
		if code != cli.ExitWrong {
			t.Errorf("%s: a screen that was started anew has forgotten: exit code %d", name, code)
		}
	}
}

func TestRecordsInFramesProveWhatWasClaimed(t *testing.T) {
	x := held(t, "frames", "run", keys.Ed25519)
	camera := t.TempDir()
	s := auditor(t, camera)
	x.picture(camera, "1.png", 5)
	x.chain(camera, 0, 14)
	_, out, code := s.types(t, x)
	wants(t, out, "record 14", "its chain of records was checked")
	if code != cli.ExitDone {
		t.Error(code)
	}
	// The next frames begin where those ended; those that leave records out are refused.
	x.chain(camera, 14, 16)
	if _, out, code = s.types(t, x); code != cli.ExitDone {
		t.Error(code)
	}
	wants(t, out, "record 16", "its chain of records was checked")
	gap := t.TempDir()
	x.chain(gap, 17, 18)
	s.look = []string{gap}
	text, _, code := s.types(t, x)
	wants(t, text, "a broken chain: it begins after record 17", "ask for --since 16")
	if code != cli.ExitWrong {
		t.Error(code)
	}
}

// serve is the room's page; n is how far the ceremony has come.
func serve(t *testing.T, x *room, n *int) string {
	t.Helper()
	dir := t.TempDir()
	page := statepage.Handler(dir, x.plan)
	srv := httptest.NewServer(page)
	t.Cleanup(srv.Close)
	check(t, os.WriteFile(filepath.Join(dir, ceremony.TranscriptFile), x.transcript(*n), 0o600))
	return srv.URL
}

func TestThePageIsReplayedAndALieOnItFound(t *testing.T) {
	x, y := held(t, "page", "run", keys.Ed25519), held(t, "page", "another run", keys.Ed25519)
	n, older := x.after(state.Words, 2), 8
	s := auditor(t)
	s.from = serve(t, x, &n)
	text, out, code := s.types(t, x, "1 2 3")
	wants(t, text, "every record up to it was read and judged here", answersWith(x.states[n], 1, 2, 3))
	wants(t, out, fmt.Sprintf("record %d", n))
	if code != cli.ExitDone {
		t.Error(code)
	}
	for _, c := range []struct {
		name string
		from string
	}{
		{state.OlderState, serve(t, x, &older)},
		{state.AnotherHead, serve(t, y, &n)},
		{state.AnotherPlan, serve(t, held(t, "page of another plan", "run", keys.Ed25519), &n)},
	} {
		again := *s
		again.from = c.from
		text, _, code := again.types(t, x)
		wants(t, text, "ALARM · "+strings.ToUpper(c.name))
		if code != cli.ExitWrong {
			t.Errorf("%s: exit code %d", c.name, code)
		}
	}
	// A page that doesn't answer is said once, and is no proof of anything.
	gone := auditor(t)
	gone.from = "http://127.0.0.1:1"
	text, _, _ = gone.types(t, x, "", "", "")
	if strings.Count(text, "http://127.0.0.1:1/state") != 1 || !strings.Contains(text, "--listen") {
		t.Errorf("%s", text)
	}
	if _, err := os.Stat(filepath.Join(gone.dir, screen.SeenFile)); err == nil {
		t.Error("nothing was seen, and something is kept")
	}
}

// A chain whose records lead elsewhere than it says is no slip of a camera.
func TestAChainThatDoesNotFollowItselfMakesTheScreenEndAsWrong(t *testing.T) {
	x := held(t, "answers", "run", keys.Ed25519)
	a, tr, err := ceremony.Replay(x.plan, "t", x.transcript(6))
	check(t, err)
	c := must(state.ChainOf(a, tr.Records, 0))
	c.State.Head[0] ^= 1
	file := filepath.Join(t.TempDir(), "chain")
	check(t, os.WriteFile(file, c.Encode(), 0o600))
	text, out, code := auditor(t).types(t, x, x.states[6].String(), file)
	wants(t, text, "ALARM · A BROKEN CHAIN")
	wants(t, out, "REFUSED")
	if code != cli.ExitWrong {
		t.Errorf("exit code %d", code)
	}
}

func TestAScreenGoesOnOnlyFromWhatItCanRead(t *testing.T) {
	x := held(t, "answers", "run", keys.Ed25519)
	s := auditor(t)
	if _, _, code := s.types(t, x, x.states[3].String()); code != cli.ExitDone {
		t.Fatal(code)
	}
	check(t, os.WriteFile(filepath.Join(s.dir, screen.SeenFile), []byte("{}"), 0o600))
	text, _, code := s.types(t, x)
	if code != cli.ExitWrong || !strings.Contains(text, screen.SeenFile) {
		t.Errorf("a file that is damaged is taken for none: %d\n%s", code, text)
	}
	unlock := must(durable.Lock(filepath.Join(s.dir, "lock")))
	if text, _, code := s.types(t, x); code == cli.ExitDone || !strings.Contains(text, "lock") {
		t.Errorf("two screens keep one folder: %d\n%s", code, text)
	}
	unlock()
	s.role = ceremony.Officer
	if text, _, code := s.types(t, x); code != cli.ExitUsage || !strings.Contains(text, `no role "officer"`) {
		t.Errorf("%d\n%s", code, text)
	}
}

// TestScreens holds what is seen at two widths, plain and without colour.
func TestScreens(t *testing.T) {
	x := held(t, "golden", "run", keys.ECDHP256)
	testdata := must(filepath.Abs("testdata"))
	for _, width := range []int{80, 120} {
		for look, plain := range map[string]bool{"no-color": false, "plain": true} {
			t.Chdir(t.TempDir()) // so that the folder's name is of one length
			s := &seat{dir: "screen", role: ceremony.Auditor}
			s.options = ui.Options{Width: width, Plain: plain, Env: func(string) string { return "" }}
			text, out, _ := s.types(t, x, x.fixed(2, 1, state.Words), x.fixed(4, 2, state.Records), x.fixed(13, 5, state.Peer), "peer", "open",
				x.fixed(17, 5, state.Words), "5 19 26", x.fixed(7, 4, state.Records))
			text = challengeCode.ReplaceAllString(steadyCode(text), "dddd dddd dddd dddd")
			text += out
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > width && !plain && !strings.Contains(line, state.Prefix) && !strings.HasPrefix(line, "fleetctl: ") {
					t.Errorf("%d, %s: a line of %d columns: %s", width, look, n, line)
				}
			}
			path := filepath.Join(testdata, fmt.Sprintf("screen-%d-%s.txt", width, look))
			if *update {
				check(t, os.MkdirAll(testdata, 0o755))
				check(t, os.WriteFile(path, []byte(text), 0o644))
			}
			if want := must(os.ReadFile(path)); string(want) != text {
				t.Errorf("%s differs; -update writes it anew\n%s", path, text)
			}
		}
	}
}

// fixed is a state with a head of its own, so that no word on the screen follows from
// what a ceremony's records are like.
func (x *room) fixed(record, step int, w state.Wants) string {
	s := x.states[0]
	s.Record, s.Step, s.Wants, s.Head = record, step, w, sha256.Sum256(fmt.Appendf(nil, "head %d", record))
	if s.Subject = [32]byte{}; w == state.Words {
		s.Subject = sha256.Sum256(fmt.Appendf(nil, "subject %d", step))
	}
	if w == state.Words && step == 1 {
		s.Subject = x.plan.Digest()
	}
	return s.String()
}

var (
	rowOfWords    = regexp.MustCompile(`(?m)^( +\d+)  (?:[A-Za-z]+ +){3}[A-Za-z]+$`)
	stateText     = regexp.MustCompile(state.Prefix + `[A-Z2-7]+`)
	challengeCode = regexp.MustCompile(`[0-9a-f]{4}( [0-9a-f]{4}){3,}( [0-9a-f]{1,4})?`)
	drawn         = regexp.MustCompile(`(?m)^   [█▀▄ ]{20,}\n`)
	packed        = regexp.MustCompile(`\b[0-9A-F]{60,}\b`)
)

// steadyCode leaves the squares of codes out, and what is in them.
func steadyCode(text string) string {
	text = stateText.ReplaceAllString(rowOfWords.ReplaceAllString(text, "$1  word word word word"), state.Prefix+"…")
	text = drawn.ReplaceAllString(text, "   ▀▄█ a code\n")
	for strings.Contains(text, "a code\n   ▀▄█ a code\n") {
		text = strings.ReplaceAll(text, "a code\n   ▀▄█ a code\n", "a code\n")
	}
	return packed.ReplaceAllString(text, "DDDD")
}
