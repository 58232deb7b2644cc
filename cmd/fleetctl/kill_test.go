//go:build cgo && unix

package main

import (
	"bytes"
	"math/rand"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// TestAKilledCeremonyIsResumed kills a ceremony of three HSMs right after each
// of its records has reached the disk, resumes it, kills it again, and demands
// that it ends with the same fleet check: no key orphaned, none used twice.
// All records with FLEETCTL_FULL=1, a seeded sample otherwise.
func TestAKilledCeremonyIsResumed(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole ceremonies")
	}
	k := killRig{newRig(t)}
	total := k.records()
	var at []int
	for n := 1; n < total; n++ {
		at = append(at, n)
	}
	if os.Getenv("FLEETCTL_FULL") != "1" {
		rand.New(rand.NewSource(3)).Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
		at = at[:5]
	}
	again := 0
	for _, n := range at {
		again += k.killAndResume(n)
	}
	t.Logf("%d records a ceremony; killed after %d of them, resumed %d times; every one ended with its fleet check, no key lost", total, len(at), again)
}

type killRig struct{ *rig }

// records counts those of an undisturbed run.
func (k killRig) records() int {
	dir := k.world()
	if out, err := k.start(dir).CombinedOutput(); err != nil {
		k.t.Fatalf("%v\n%s", err, out)
	}
	return lines(dir)
}

// killAndResume kills the run after its n-th record, then each resumption a
// little later, until one is left to end. It gives the number of resumptions.
func (k killRig) killAndResume(n int) (resumed int) {
	k.t.Helper()
	dir := k.world()
	k.killAfter(k.start(dir), dir, n)
	for range 3 {
		next := k.start(dir)
		resumed++
		if resumed < 3 {
			k.killAfter(next, dir, lines(dir)+2)
			continue
		}
		if out, err := next.CombinedOutput(); err != nil {
			k.t.Fatalf("killed after record %d: %v\n%s", n, err, out)
		}
	}
	if end, err := k.end(dir); end != passed {
		k.t.Fatalf("killed after record %d: %s %v", n, end, err)
	}
	k.run(dir, "bundle", "build", "ceremony")
	return resumed
}

func (k killRig) killAfter(cmd *exec.Cmd, dir string, n int) {
	k.t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	p := await.Start(k.t, cmd)
	for !p.Ended() && lines(dir) < n {
		time.Sleep(200 * time.Microsecond) // records are that close together
	}
	if p.Ended() {
		if err := p.Wait(); err != nil {
			k.t.Fatalf("ended before it could be killed: %v\n%s", err, out.String())
		}
		return // it was done before there were n records
	}
	p.Kill()
}
