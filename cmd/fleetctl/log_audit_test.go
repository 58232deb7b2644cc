//go:build cgo && unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// audited is what an audit as a process has said, and what it took.
type audited struct {
	Size, Resumed, Entries, Tiles, Found uint64
	Root                                 string
	Verified                             bool

	took      time.Duration
	processor time.Duration
	peak      int64 // KiB of memory
}

// TestAWholeLogIsAudited audits a log as the program does, in a process that can
// be measured and killed: 20,000 bundles with new keys in each, a million with
// FLEETCTL_FULL=1. Memory must not grow with the log, and what a kill leaves
// must be gone on from, to the same end.
func TestAWholeLogIsAudited(t *testing.T) {
	if testing.Short() {
		t.Skip("20,000 bundles")
	}
	released(t)
	n := 20_000
	if os.Getenv("FLEETCTL_FULL") == "1" {
		n = 1_000_000
	}
	small := newBigLog(t, n/50)
	before := small.audit(t, "--state", filepath.Join(t.TempDir(), "state.json"))
	start := time.Now()
	l := newBigLog(t, n)
	t.Logf("%d bundles made and logged in %v", n, time.Since(start).Round(time.Second))
	whole := l.audit(t, "--state", filepath.Join(t.TempDir(), "state.json"))
	if whole.Size != uint64(n) || whole.Entries != whole.Size || whole.Resumed != 0 || whole.Found != 0 || !whole.Verified {
		t.Fatalf("%+v", whole)
	}
	for _, a := range []*audited{before, whole} {
		t.Logf("%d entries and %d tiles in %v: %.0f entries/s, %.0f µs of processor an entry, %d MiB at most", a.Entries, a.Tiles,
			a.took.Round(time.Millisecond), float64(a.Entries)/a.took.Seconds(), float64(a.processor.Microseconds())/float64(a.Entries), a.peak>>10)
	}
	const bound = 128 << 10
	if whole.peak > bound {
		t.Errorf("%d KiB of memory, the bound is %d", whole.peak, bound)
	}
	// The small log of a full run has more epochs than are remembered already.
	if n == 1_000_000 && whole.peak > before.peak*3/2 {
		t.Errorf("%d KiB of memory for %d entries, %d KiB for %d", whole.peak, whole.Entries, before.peak, before.Entries)
	}

	state := filepath.Join(t.TempDir(), "audit.json")
	kills := 0
	for from := uint64(0); ; kills++ {
		a, at := l.killed(t, state, from+uint64(n)/4)
		if a == nil {
			if at < from {
				t.Fatalf("went back from %d to %d", from, at)
			}
			from = at
			continue
		}
		if a.Root != whole.Root || a.Found != 0 || !a.Verified || a.Resumed == 0 || a.Resumed+a.Entries != a.Size || kills == 0 {
			t.Errorf("after %d kills: %+v", kills, a)
		}
		t.Logf("killed %d times; the last run read %d of %d entries and came to the same root", kills, a.Entries, a.Size)
		return
	}
}

func (l *bigLog) command(t testing.TB, more ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(released(t), append([]string{"log", "audit", l.dir, "--policy", l.policy, "--format", "json"}, more...)...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// audit runs an audit to its end.
func (l *bigLog) audit(t testing.TB, more ...string) *audited {
	t.Helper()
	cmd, out := l.command(t, more...)
	start := time.Now()
	check(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	peak := int64(0)
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			a := &audited{took: time.Since(start), processor: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: peak}
			if err := json.Unmarshal(out.Bytes(), a); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return a
		case <-time.After(20 * time.Millisecond):
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
}

// highWater is a running process's largest memory in KiB, where the kernel says.
// What wait(2) gives has the parent's in it, which the child had until exec(2).
func highWater(pid int) (kib int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}

// killed runs an audit and kills it once its state has got as far as that; nil
// if it did, with how far the state has got.
func (l *bigLog) killed(t testing.TB, state string, after uint64) (*audited, uint64) {
	t.Helper()
	cmd, out := l.command(t, "--state", state)
	check(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			a := &audited{}
			check(t, json.Unmarshal(out.Bytes(), a))
			return a, a.Size
		case <-time.After(5 * time.Millisecond):
			at := stateOf(t, state)
			if at < after {
				continue
			}
			_ = cmd.Process.Kill()
			<-done
			return nil, stateOf(t, state)
		}
	}
}

// stateOf says how far an audit's state has got; it is whole at any moment.
func stateOf(t testing.TB, state string) uint64 {
	t.Helper()
	data, err := os.ReadFile(state)
	if os.IsNotExist(err) {
		return 0
	}
	check(t, err)
	var s struct{ Size uint64 }
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("the state is torn: %v", err)
	}
	return s.Size
}
