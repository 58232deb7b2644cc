//go:build cgo && linux

package main

import (
	"fmt"
	"math/rand"
	"os"
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

// TestAWholeCeremonyInARoom: five HSMs take at most six commands and forty prompts,
// and nobody types a digest.
func TestAWholeCeremonyInARoom(t *testing.T) {
	r, dir := roomWorld(t, 5)
	c := enter(r, dir, 80)
	c.plays()
	if code := c.k.ends(); code != cli.ExitDone {
		t.Fatalf("exit code %d\n%s", code, c.k.shown())
	}
	published(r, dir)
	t.Logf("five HSMs: %d prompts, %d keys", c.prompts, c.keys)
	if c.prompts > 40 {
		t.Errorf("%d prompts are more than 40", c.prompts)
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
