//go:build cgo && linux && amd64

package main

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

// TestALifeInterruptedAtEveryWriteIsVerified leads ceremonies through their life
// after the keys were made: plan approvals, build, sign-offs, request, import,
// countersignature, log, close, packing. Every command is interrupted before one
// of the system calls by which it changes a file, then repeated; at the end a
// stranger verifies the evidence. None may be lost, and none not verify.
//
// FLEETCTL_FULL=1 interrupts every command before each of its calls, by a kill, a
// closed terminal and a system that ends; otherwise a seeded sample.
func TestALifeInterruptedAtEveryWriteIsVerified(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	s := newStruck(t)
	counted := s.live(0, nil)
	signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGHUP, syscall.SIGTERM}
	rnd := rand.New(rand.NewSource(13))
	full := os.Getenv("FLEETCTL_FULL") == "1"
	lives := 4
	if full {
		lives = len(signals) * slices.Max(counted)
	}
	for i := range lives {
		at := make([]int, len(counted))
		for k, n := range counted {
			at[k] = 1 + rnd.Intn(max(n, 1))
			if full {
				at[k] = 1 + i/len(signals)
			}
		}
		s.live(signals[i%len(signals)], at)
	}
	total := 0
	for _, n := range counted {
		total += n
	}
	t.Logf("%d commands a life with %d changes of files; %d lives, %d commands interrupted at one of them (%v), %d lives lost, %d not verified afterwards",
		len(counted), total, lives, s.hits(), s.struck, s.lost, s.unverified)
}

type struck struct {
	*rig
	struck           map[string]int
	lost, unverified int
}

func (s *struck) hits() (n int) {
	for _, k := range s.struck {
		n += k
	}
	return n
}

// newStruck makes a world in which the keys are made and nothing after it.
func newStruck(t *testing.T) *struck {
	t.Helper()
	r := newRig(t)
	made := r.world()
	if out, err := r.start(made).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &struck{rig: &rig{t: t, template: made, binary: r.binary}, struck: map[string]int{}}
}

// commands are those that are interrupted.
func (s *struck) commands(dir string) (list [][]string) {
	steps := lifeSteps(dir)
	from := slices.IndexFunc(steps, func(s lifeStep) bool { return s.stage == "run" })
	for _, who := range []string{"olga", "omar"} {
		list = append(list, []string{"plan", "approve", "plan.yaml", "--dir", "anew", "--key", "people/" + who})
	}
	for _, step := range steps[from+1:] {
		list = append(list, step.args)
	}
	return list
}

// done are the ways in which a command says that it had done its work before it
// was interrupted.
var done = []string{"it is not the turn of", "exists; nothing is overwritten", "is on the record already", "the ceremony is closed", "has answered"}

// live leads one life, with the signal at the given call of each command, and
// gives the number of calls of each. A life without a signal is the undisturbed.
func (s *struck) live(sig syscall.Signal, at []int) (calls []int) {
	s.t.Helper()
	dir := s.world()
	defer os.RemoveAll(dir)
	check(s.t, os.Mkdir(filepath.Join(dir, "anew"), 0o700))
	var told strings.Builder
	for i, args := range s.commands(dir) {
		for k, arg := range args {
			if arg == "DIGEST" {
				args[k] = digestOf(filepath.Join(dir, "ceremony", "fleet-keys.json"))
			}
		}
		n := 0
		if at != nil && args[0] != "thirdparty" { // another party's machine, and a test of its own
			n = at[i]
		}
		made, end, err := strike(s.command(dir, args...), dir, n, sig)
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
			s.t.Skipf("a process can't be traced here: %v", err)
		}
		check(s.t, err)
		calls = append(calls, made)
		said, _ := os.ReadFile(filepath.Join(dir, "said"))
		fmt.Fprintf(&told, "--- fleetctl %s: %v before call %d, ended %d\n%s\n", strings.Join(args, " "), sig, n, end, said)
		if n == 0 || made < n {
			if end.ExitStatus() != cli.ExitDone {
				s.t.Fatalf("nothing disturbed it:\n%s", told.String())
			}
			continue
		}
		s.struck[sig.String()]++
		out, err := s.command(dir, args...).CombinedOutput()
		fmt.Fprintf(&told, "again: %v\n%s\n", err, out)
		if err != nil && !slices.ContainsFunc(done, func(text string) bool { return strings.Contains(string(out), text) }) {
			s.lost++
			s.t.Errorf("it can't be gone on with:\n%s", told.String())
			return calls
		}
	}
	s.judge(dir, told.String())
	return calls
}

func (s *struck) judge(dir, told string) {
	s.t.Helper()
	out, err := s.command(dir, "verify", "evidence.tar", "--policy", "policy.yaml").CombinedOutput()
	if err != nil {
		s.unverified++
		s.t.Errorf("not verified: %v\n%s\n%s", err, out, told)
	}
	for _, name := range []string{"olga.sig", "omar.sig"} {
		if _, err := os.Stat(filepath.Join(dir, "anew", "plan-approvals", name)); err != nil {
			s.lost++
			s.t.Errorf("an approval of the plan is lost: %v\n%s", err, told)
		}
	}
	for _, folder := range []string{"ceremony", "ceremony/plan-approvals", "ceremony/approvals", "ceremony/signoffs/release", "ceremony/signoffs/close", "anew/plan-approvals"} {
		hidden, err := filepath.Glob(filepath.Join(dir, folder, ".*"))
		if err != nil || len(hidden) > 0 {
			s.t.Errorf("%s has %v: %v\n%s", folder, hidden, err, told)
		}
	}
}
