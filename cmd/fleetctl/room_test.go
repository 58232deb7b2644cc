//go:build cgo && linux

package main

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// roomArgs are a room's command in a world: the operator's PIN is typed too.
func roomArgs() []string {
	operator := fmt.Sprintf("pkcs11:token=operator;id=%%01?module-path=%s", modulePath())
	return []string{"ceremony", "room", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml",
		"--keys", "people", "--log", "log", "--log-key", "log.pem", "--operator", operator}
}

// enter sits a cast down at a room's terminal.
func enter(r *rig, dir string, columns int, more ...string) *cast {
	r.t.Helper()
	cmd := r.command(dir, append(roomArgs(), more...)...)
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	return &cast{k: atTerminal(r.t, cmd, columns), dir: dir, rig: r, trouble: map[string][]string{}}
}

// published packs and verifies what a room has left.
func published(r *rig, dir string) {
	r.t.Helper()
	r.run(dir, "evidence", "pack", "ceremony", "--out", "evidence.tar")
	r.run(dir, "verify", "evidence.tar", "--policy", "policy.yaml")
}

// effort is what people type of a ceremony.
type effort struct{ commands, prompts, keys int }

// types has a command typed at a terminal and its questions answered.
func (e *effort) types(r *rig, dir string, code int, args ...string) {
	r.t.Helper()
	cmd := r.command(dir, args...)
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	c := &cast{k: atTerminal(r.t, cmd, 80), dir: dir, rig: r, trouble: map[string][]string{}}
	c.plays()
	if got := c.k.ends(); got != code {
		r.t.Fatalf("%q: exit code %d\n%s", args, got, c.k.shown())
	}
	e.commands++
	e.prompts += c.prompts
	e.keys += c.keys + len("fleetctl "+strings.Join(args, " ")) + 1
}

// ends is what is typed after the close, however it was come to.
func (e *effort) ends(r *rig, dir string) {
	e.types(r, dir, cli.ExitDone, "ceremony", "receipt", "ceremony", "--out", "receipts")
	e.types(r, dir, cli.ExitDone, "evidence", "pack", "ceremony", "--out", "evidence.tar")
	e.types(r, dir, cli.ExitDone, "log", "append", "evidence.tar", "--log", "log", "--key", "log.pem")
	e.types(r, dir, cli.ExitDone, "verify", "evidence.tar", "--policy", "policy.yaml")
}

// inSingleCommands is a whole ceremony, a command for each step.
func inSingleCommands(r *rig, dir string) (e effort) {
	r.t.Helper()
	sign := func(who []string, args ...string) {
		for _, name := range who {
			e.types(r, dir, cli.ExitDone, append(append([]string{"ceremony", "sign", "ceremony"}, args...), "--key", "people/"+name)...)
		}
	}
	officers, all := []string{"olga", "omar"}, []string{"olga", "omar", "wanda", "ada"}
	run := []string{"ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml"}
	request := []string{"bundle", "request", "ceremony", "--out", "request.json"}
	countersign := []string{"bundle", "countersign", "ceremony", "--key", roomArgs()[len(roomArgs())-1]}
	e.types(r, dir, cli.ExitPending, run...)
	sign(officers, "--approve", "open")
	e.types(r, dir, cli.ExitDone, run...)
	e.types(r, dir, cli.ExitDone, "bundle", "build", "ceremony")
	sign(all, "--signoff", "release", "--verdict", "agree")
	e.types(r, dir, cli.ExitPending, request...)
	sign(officers, "--approve", "request")
	e.types(r, dir, cli.ExitDone, request...)
	r.run(dir, "thirdparty", "sign", "request.json", "--policy", "thirdparty.yaml", "--ledger", "ledger.jsonl", "--key", workVars(dir)["PARTY"],
		"--agree", digestOf(filepath.Join(dir, "ceremony", "fleet-keys.json")), "--out", "response.json")
	e.types(r, dir, cli.ExitDone, "bundle", "import", "ceremony", "response.json")
	e.types(r, dir, cli.ExitPending, countersign...)
	sign(officers, "--approve", "countersign")
	e.types(r, dir, cli.ExitDone, countersign...)
	e.types(r, dir, cli.ExitDone, "bundle", "assemble", "ceremony")
	e.types(r, dir, cli.ExitDone, "log", "append", "ceremony", "--log", "log", "--key", "log.pem")
	e.types(r, dir, cli.ExitDone, "ceremony", "close", "ceremony")
	sign(all, "--signoff", "close", "--verdict", "agree")
	e.ends(r, dir)
	return e
}

// TestAWholeCeremonyInARoom: five HSMs take at most six commands and forty prompts, and
// nobody types a digest. The same ceremony in single commands is counted beside it.
func TestAWholeCeremonyInARoom(t *testing.T) {
	r, dir := roomWorld(t, 5)
	var e effort
	e.types(r, dir, cli.ExitDone, roomArgs()...)
	e.ends(r, dir)
	t.Logf("five HSMs in a room: %d commands, %d prompts, %d keys", e.commands, e.prompts, e.keys)
	if e.commands > 6 || e.prompts > 40 {
		t.Errorf("%d commands and %d prompts are more than 6 and 40", e.commands, e.prompts)
	}
	if testing.Short() {
		return
	}
	r, dir = roomWorld(t, 5)
	single := inSingleCommands(r, dir)
	t.Logf("in single commands: %d commands, %d prompts, %d keys", single.commands, single.prompts, single.keys)
	if e.keys >= single.keys || e.prompts > single.prompts {
		t.Errorf("the room takes %+v, single commands %+v", e, single)
	}
}

// TestARoomIsKilledAtAPrompt: wherever the power goes while somebody is asked, the same
// command goes on, and what comes of it verifies. At every prompt with
// FLEETCTL_FULL=1, at some otherwise.
func TestARoomIsKilledAtAPrompt(t *testing.T) {
	const last = 27 // prompts of a ceremony of two HSMs
	at := rand.New(rand.NewSource(7)).Perm(last)
	if os.Getenv("FLEETCTL_FULL") != "1" {
		at = at[:4]
	}
	for _, n := range at {
		r, dir := roomWorld(t, 2)
		c := enter(r, dir, 80)
		c.stopAt = n + 1
		if !c.plays() {
			t.Fatalf("it ended before prompt %d\n%s", c.stopAt, c.k.shown())
		}
		c.k.cmd.Kill()
		again := enter(r, dir, 80)
		again.plays()
		if code := again.k.ends(); code != cli.ExitDone {
			t.Fatalf("killed at prompt %d: exit code %d\n%s\n%s", c.stopAt, code, c.k.shown(), again.k.shown())
		}
		published(r, dir)
	}
}
