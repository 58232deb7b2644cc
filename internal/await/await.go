// Package await has tests wait for what they wait for, and not for a time. A
// machine that is busy with other things is slow; it must not make a test fail.
package await

import (
	"os/exec"
	"testing"
	"time"
)

// Longest is how long a test waits for something before it says that it will
// not happen: long enough for any machine, so that reaching it is a fault.
const Longest = 5 * time.Minute

const pause = 5 * time.Millisecond

// Until waits for something to have happened, and fails the test where it never
// does. what says it in words: "the agent answers".
func Until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	if !Happens(happened) {
		t.Fatalf("waited %v in vain: %s", Longest, what)
	}
}

// Happens waits like Until and says whether it happened, for those who have more
// to tell, or to clean up, where it didn't.
func Happens(happened func() bool) bool {
	for end := time.Now().Add(Longest); ; time.Sleep(pause) {
		if happened() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Process is a process that was started, and of which it is known when it ends.
type Process struct {
	*exec.Cmd
	ended chan struct{}
	err   error
}

// Start starts a command. A test that ends kills it, if it still runs; on Linux it
// is killed too where the test itself is.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	tie(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{Cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Until waits for something that a process brings about: false where the
// process ends first, or where it doesn't happen at all.
func (p *Process) Until(happened func() bool) bool {
	ok := false
	Happens(func() bool {
		gone := p.Ended() // asked first: what it did last counts
		ok = happened()
		return ok || gone
	})
	return ok
}

// Ended says whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Wait waits for its end, and gives what exec.Cmd.Wait gives.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Ends is Wait with an end: a process that doesn't end by itself is killed, and
// ok is false.
func (p *Process) Ends() (ok bool, err error) {
	select {
	case <-p.ended:
		return true, p.err
	case <-time.After(Longest):
		p.Kill()
		return false, p.err
	}
}

// Kill ends it and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Process.Kill()
	<-p.ended
}
