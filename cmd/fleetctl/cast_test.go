//go:build cgo && linux

package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/words"
)

// cast is everybody at the terminal of a room: each question is answered by whoever it
// is for, with what they see on the screen.
type cast struct {
	k   *keyboard
	dir string
	rig *rig
	// trouble is what they do instead, by the question's kind and one after the other:
	// "=" is the right answer, "$ …" what others do elsewhere, "kill" ends the program.
	trouble map[string][]string
	plain   bool
	// beside gives the words at positions from a second screen; nil: the auditor has
	// fleetctl words.
	beside        func(at []string) string
	seal          string // that the witness has read last
	stopAt        int    // the prompt at which the test takes over; 0 for none
	prompts, keys int
}

const aPrompt = "\n   > "

// plays until the program ends, or until the test takes over, and says whether that
// has come.
func (c *cast) plays() (stopped bool) {
	c.k.t.Helper()
	for {
		over := false
		asked := await.Happens(func() bool {
			over = c.k.isOver()
			return over || c.isAsked(c.k.shown())
		})
		switch {
		case !asked:
			c.k.t.Fatalf("nothing is asked; the screen shows\n%s", c.k.shown())
		case over:
			return false
		}
		screen := c.k.shown()
		if c.prompts++; c.prompts == c.stopAt || !c.answer(screen) {
			return true
		}
	}
}

// isAsked says whether a question stands at the end of the screen that was not there
// before.
func (c *cast) isAsked(screen string) bool {
	if !c.plain {
		return strings.HasSuffix(screen[c.k.read:], aPrompt)
	}
	kind, _ := c.right(question(screen))
	return strings.HasSuffix(screen[c.k.read:], ": ") && kind != ""
}

// answer types what is asked for, unless somebody elsewhere brings it. It is false
// where the program was killed instead.
func (c *cast) answer(screen string) bool {
	c.k.t.Helper()
	c.k.read = len(screen)
	kind, right := c.right(question(screen))
	if kind == "" {
		c.k.t.Fatalf("nobody knows what to answer\n%s", screen)
	}
	if rows := strings.Count(screen[max(strings.LastIndex(screen, "SHA-256:"), 0):], "\n") + 1; kind == "challenge" && !c.plain && rows > 24 {
		c.k.t.Errorf("a screen of 24 rows no longer shows the digest that is asked about, %d rows above the question\n%s", rows, screen)
	}
	c.standsAbove(kind, screen)
	answer := "="
	if list := c.trouble[kind]; len(list) > 0 {
		answer, c.trouble[kind] = list[0], list[1:]
	}
	if answer == "=" {
		answer = right(screen)
	}
	if answer == "kill" {
		return false
	}
	if what, ok := strings.CutPrefix(answer, "$ "); ok {
		c.prompts-- // nobody types anything here
		c.elsewhere(what)
		return true
	}
	c.keys += len(answer) + 1
	c.k.say(answer)
	return true
}

// standsAbove holds that a screen of 24 rows shows all that is new when people are first
// asked to sign: what signing means, and what the operator's HSM signs.
func (c *cast) standsAbove(kind, screen string) {
	c.k.t.Helper()
	if !strings.HasPrefix(kind, "sign ") || c.plain {
		return
	}
	new := screen[max(strings.LastIndex(screen, "How it went so far:"), 0):]
	if strings.Count(new, "\n   Step ") > 1 {
		return // what was typed since has moved it
	}
	at := strings.Index(new, "by signing")
	if kind != "sign approve countersign" && strings.Contains(new, "it names") {
		at = strings.Index(new, "it names")
	}
	if at < 0 || strings.Contains(new[at:], "This text is signed:") {
		c.k.t.Errorf("%s: what signing means doesn't stand last\n%s", kind, new)
		return
	}
	if rows := strings.Count(new[at:], "\n") + 1; rows > 24 {
		c.k.t.Errorf("%s: what signing means begins %d rows above the question\n%s", kind, rows, new)
	}
	hsm := strings.Index(new, "What operator-1's HSM will sign:")
	if kind == "sign approve countersign" && (hsm < at || !strings.Contains(new[hsm:], "fleetctl countersignature v1")) {
		c.k.t.Errorf("what the operator's HSM signs doesn't stand above the question\n%s", new)
	}
}

// question is the last one on the screen, on one line.
func question(screen string) string {
	lines := strings.Split(strings.TrimRight(strings.TrimSuffix(screen, aPrompt), " "), "\n")
	var list []string
	for i := len(lines) - 1; i >= 0 && strings.HasPrefix(lines[i], "   ") && len(list) < 4; i-- {
		list = append([]string{strings.TrimSpace(lines[i])}, list...)
	}
	return strings.Join(list, " ")
}

var (
	askedWords = regexp.MustCompile(`from your own screen, words (\d+), (\d+) and (\d+) \(or "read"\):$`)
	askedPIN   = regexp.MustCompile(`Step \d+ of \d+, [^.]+\. PIN of (?:token )?(\S+):$`)
	askedSeal  = regexp.MustCompile(`number on the seal of hsm-(\d+):$`)
	askedBag   = regexp.MustCompile(`[Tt]he number (?:of|on) the seal (?:that|of) hsm-(\d+) (?:is under now|as you find it), or Enter (?:for none|where it had none):$`)
	askedNext  = regexp.MustCompile(`Type "([^"]+)" (?:\(unseen\) )?to `)
	askedSign  = regexp.MustCompile(`Step \d+ of \d+\. Sign to [^:]+: your name, then "([^"]+)"; or where a signature is:$`)
	verdicts   = `your name, then "agree", "agree with exceptions" or "do not agree"(?: \(an officer who approves the \S+ too adds "([^"]+)"\))?; `
	askedSpeak = regexp.MustCompile(`Step \d+ of \d+\. Your verdict on the \S+: ` + verdicts + `or where a signature is:$`)
	askedClose = regexp.MustCompile(`Step \d+ of \d+\. Not heard on the \S+: [^.]+\. Speak now: ` + verdicts + `or type "close":$`)
	isMissing  = regexp.MustCompile(`(?s)(\d+) of (\d+)\s+officers?\.(?:\s+Signed:[^.]*\.)?\s+Not\s+yet:\s+([^.]*)\.`)
)

// right is of what kind a question is, and its right answer once it is known what
// stands on the screen.
func (c *cast) right(q string) (kind string, answer func(screen string) string) {
	says := func(s string) func(string) string { return func(string) string { return s } }
	switch {
	case strings.HasSuffix(q, "three words of your own choosing, just now:"):
		return "words", says("alpha, Beta, gamma")
	case strings.HasSuffix(q, "the time on the wall, in UTC, as 14:05:"):
		return "clock", func(string) string { return wall() }
	case askedWords.MatchString(q):
		return "challenge", func(screen string) string { return c.words(askedWords.FindStringSubmatch(q)[1:], screen) }
	case askedBag.MatchString(q):
		return "bag", says("992" + askedBag.FindStringSubmatch(q)[1])
	case askedSeal.MatchString(q):
		c.seal = "447" + askedSeal.FindStringSubmatch(q)[1]
		return "seal", says(c.seal)
	case strings.HasSuffix(q, "the same number, read again:"):
		return "seal", says(c.seal)
	case askedPIN.MatchString(q):
		return "PIN", says(c.pin(askedPIN.FindStringSubmatch(q)[1]))
	case askedSign.MatchString(q):
		consent := askedSign.FindStringSubmatch(q)[1]
		return "sign " + consent, func(screen string) string {
			name, _, _ := c.signer(screen)
			return name + " " + consent
		}
	case askedSpeak.MatchString(q):
		also := askedSpeak.FindStringSubmatch(q)[1]
		return "sign agree", func(screen string) string {
			name, officer, last := c.signer(screen)
			answer := name + " agree"
			if officer && also != "" {
				answer += " " + also
			}
			if last {
				answer += " and close"
			}
			return answer
		}
	case askedClose.MatchString(q):
		return "close", says("close")
	case strings.HasSuffix(q, "or where is one:"):
		return "response", says("$ third party")
	case askedNext.MatchString(q):
		return "consent", says(askedNext.FindStringSubmatch(q)[1])
	case strings.Contains(q, "Enter shows the next lines, of which there are "):
		return "read", says("")
	case strings.HasSuffix(q, "What was expected:"), strings.HasSuffix(q, "What happened:"), strings.HasSuffix(q, "What was decided:"):
		return "exception", says("a seal on the other side")
	case strings.HasSuffix(q, "Names, or Enter for none:"):
		return "absent", says("")
	case strings.HasSuffix(q, `in words that will be published; or "back":`):
		return "reason", says("for the night")
	}
	return "", nil
}

func (c *cast) pin(whose string) string {
	return "pin-of-" + strings.Replace(whose, "hsm-", "fleet-", 1)
}

// words are those that the auditor's own screen shows of the last digest.
func (c *cast) words(at []string, screen string) string {
	if c.beside != nil {
		return c.beside(at)
	}
	digests := hexRows.FindAllStringSubmatch(screen, -1)
	if len(digests) == 0 {
		c.k.t.Fatalf("no digest on the screen\n%s", screen)
	}
	last := digests[len(digests)-1]
	sum, err := hex.DecodeString(strings.ReplaceAll(last[1]+last[2], " ", ""))
	check(c.k.t, err)
	list := words.Encode(sum)
	var typed []string
	for _, p := range at {
		var n int
		_, err := fmt.Sscan(p, &n)
		check(c.k.t, err)
		typed = append(typed, list[n-1])
	}
	return strings.Join(typed, " ")
}

// signer is the next who can sign, as the screen says who is missing, whether that is
// an officer, and whether nobody else is needed after them.
func (c *cast) signer(screen string) (name string, officer, last bool) {
	all := isMissing.FindAllStringSubmatch(screen, -1)
	if len(all) == 0 {
		c.k.t.Fatalf("the screen doesn't say who is missing\n%s", screen)
	}
	said := all[len(all)-1]
	enough, needed := said[1] >= said[2], 0
	for _, who := range strings.Split(strings.Join(strings.Fields(said[3]), " "), "; ") {
		who, role, stage := strings.Cut(who, ", ")
		if stage && role == "officer" == enough {
			continue
		}
		if needed++; needed == 1 {
			name = who
		}
	}
	if name == "" {
		c.k.t.Fatalf("nobody can sign\n%s", screen)
	}
	return name, !enough, enough && needed == 1
}

// elsewhere is what other people do at other machines.
func (c *cast) elsewhere(what string) {
	c.k.t.Helper()
	exchange := filepath.Join(c.dir, "ceremony-exchange")
	if what == "third party" {
		v := workVars(c.dir)
		c.rig.run(c.dir, "thirdparty", "sign", filepath.Join(exchange, "request.json"), "--policy", "thirdparty.yaml", "--ledger", "ledger.jsonl",
			"--key", v["PARTY"], "--agree", digestOf(filepath.Join(c.dir, "ceremony", "fleet-keys.json")), "--out", "response.json")
		check(c.k.t, os.Rename(filepath.Join(c.dir, "response.json"), filepath.Join(exchange, "response.json")))
		return
	}
	if kind, ok := strings.CutPrefix(what, "misfit "); ok {
		c.misfit(kind, exchange)
		return
	}
	// a person signs the newest text with a key of their own, and brings the signature
	name, pattern, _ := strings.Cut(what, " ")
	texts, err := filepath.Glob(filepath.Join(exchange, pattern))
	check(c.k.t, err)
	if len(texts) == 0 {
		c.k.t.Fatalf("no text %s in the exchange", pattern)
	}
	text := texts[len(texts)-1]
	namespace := "fleetctl-session-rehearsal"
	if strings.HasPrefix(pattern, "release") || strings.HasPrefix(pattern, "close") {
		namespace = "fleetctl-signoff-rehearsal"
	}
	out, err := exec.Command("ssh-keygen", "-q", "-Y", "sign", "-f", filepath.Join(c.dir, "people", name), "-n", namespace, text).CombinedOutput()
	if err != nil {
		c.k.t.Fatalf("%v\n%s", err, out)
	}
}

// misfit brings a file that isn't what is waited for, whole from the first.
func (c *cast) misfit(kind, exchange string) {
	c.k.t.Helper()
	made, name := filepath.Join(c.dir, "misfit"), kind
	check(c.k.t, os.WriteFile(made, []byte("{}\n"), 0o644))
	signs := func(who, namespace, text string) {
		data, err := os.ReadFile(text)
		check(c.k.t, err)
		check(c.k.t, os.WriteFile(made, data, 0o644))
		cmd := exec.Command("ssh-keygen", "-q", "-Y", "sign", "-f", filepath.Join(c.dir, "people", who), "-n", namespace, made)
		if out, err := cmd.CombinedOutput(); err != nil {
			c.k.t.Fatalf("%v\n%s", err, out)
		}
		made += ".sig"
	}
	switch kind {
	case "namespace":
		texts, err := filepath.Glob(filepath.Join(exchange, "reconvene-after-*.txt"))
		check(c.k.t, err)
		signs("omar", "file", texts[len(texts)-1])
		name = "omar.sig"
	case "text":
		signs("olga", "fleetctl-session-rehearsal", filepath.Join(c.dir, "plan.yaml"))
		name = "olga.sig"
	case "name":
		name = "notes.odt"
		check(c.k.t, os.WriteFile(made, []byte("who brings what\n"), 0o644))
	case "answer":
		name = "response.json"
	}
	check(c.k.t, os.Rename(made, filepath.Join(exchange, name)))
}

// roomWorlds are what rooms begin with, by how many HSMs: an approved plan and a
// third party with its ledger.
var roomWorlds sync.Map

// roomWorld is a copy of one, in which every PIN is typed.
func roomWorld(t testing.TB, hsms int) (*rig, string) {
	t.Helper()
	needSoftHSM(t)
	made, _ := roomWorlds.LoadOrStore(hsms, sync.OnceValues(func() (string, error) { return makeRoomWorld(hsms) }))
	r := &rig{t: t, binary: released(t)}
	var err error
	r.template, err = made.(func() (string, error))()
	check(t, err)
	dir := r.world()
	for n := 1; n <= hsms; n++ {
		typed(t, dir, fmt.Sprintf("fleet-%d", n))
	}
	return r, dir
}

func makeRoomWorld(hsms int) (string, error) {
	binary, err := theProgram()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(binary), fmt.Sprintf("room-%d", hsms))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	pin := func(label string) string { return "pin-of-" + label }
	if err := prepareLife(dir, pin); err != nil {
		return "", err
	}
	r := &rig{binary: binary}
	var steps []lifeStep
	for n := 3; n <= hsms; n++ {
		label := fmt.Sprintf("fleet-%d", n)
		if err := os.WriteFile(filepath.Join(dir, "pins", label), []byte(pin(label)+"\n"), 0o600); err != nil {
			return "", err
		}
		steps = append(steps, lifeStep{args: []string{"hsm", "init", "--module", modulePath(), "--label", label, "--pin", "file:" + dir + "/pins/" + label, "--so-pin", "file:" + dir + "/pins/so"}})
	}
	life := lifeSteps(dir)
	life = life[:1+slices.IndexFunc(life, func(s lifeStep) bool { return s.stage == "approved" })]
	steps = append(append(steps, life...), lifeStep{args: []string{"thirdparty", "init", "ledger.jsonl", "--public-key", "thirdparty.pub"}})
	for _, step := range steps {
		if i := slices.Index(step.args, "--hsms"); i > 0 {
			step.args[i+1] = fmt.Sprint(hsms)
		}
		if out, err := r.command(dir, step.args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("fleetctl %s: %w\n%s", strings.Join(step.args, " "), err, out)
		}
	}
	return dir, nil
}
