//go:build unix

package tiled

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// childEnv makes the test binary a process that appends: its value is
// "<dir> <prefix> <count>".
const childEnv = "FLEETCTL_TILED_CHILD"

// beginEnv makes it say what it is about to append, so that a test can tell
// whether a kill came in the middle.
const beginEnv = "FLEETCTL_TILED_BEGIN"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		if err := child(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child appends entries one by one and says each on stdout when it is done.
func child(job string) error {
	f := strings.Fields(job)
	var count int
	if _, err := fmt.Sscan(f[2], &count); err != nil {
		return err
	}
	for i := range count {
		l, err := Open(f[0], testSigner(new(testing.B), f[0]), testOptions)
		if err != nil {
			return err
		}
		leaf := fmt.Sprintf("%s%d:%d", f[1], i, os.Getpid())
		if os.Getenv(beginEnv) != "" {
			fmt.Println("begin", leaf)
		}
		at, err := l.Append(context.Background(), []byte(leaf))
		if err != nil {
			return err
		}
		fmt.Println(at[0].Index, leaf)
	}
	return nil
}

func startChild(t *testing.T, dir, prefix string, count int) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childEnv, dir, prefix, count))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// acknowledged checks that the log has every entry a child has said it has.
func acknowledged(t *testing.T, out *bytes.Buffer, entries [][]byte) int {
	t.Helper()
	n := 0
	for s := bufio.NewScanner(out); s.Scan(); n++ {
		var index int
		var leaf string
		if _, err := fmt.Sscan(s.Text(), &index, &leaf); err != nil {
			break // killed while it said so
		}
		if index >= len(entries) || string(entries[index]) != leaf {
			t.Errorf("entry %d is not %s", index, leaf)
		}
	}
	return n
}

func TestProcessesTakeTurns(t *testing.T) {
	dir, l := newTestLog(t)
	const each = 8
	var wg sync.WaitGroup
	var outs []*bytes.Buffer
	for _, prefix := range []string{"a", "b", "both"} {
		for range 1 + len(prefix)/4 { // two of them add the same keys
			cmd, out := startChild(t, dir, prefix, each)
			outs = append(outs, out)
			wg.Go(func() {
				if err := cmd.Wait(); err != nil {
					t.Errorf("child %s: %v", prefix, err)
				}
			})
		}
	}
	// And goroutines of this process.
	for i := range each {
		wg.Go(func() {
			if _, err := openTestLog(t, dir).Append(context.Background(), fmt.Appendf(nil, "own%d:1", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries := allEntries(t, l.Reader)
	if want := 4 * each; len(entries) != want {
		t.Errorf("%d entries, want %d", len(entries), want)
	}
	for _, out := range outs[:2] {
		if n := acknowledged(t, out, entries); n != each {
			t.Errorf("a child acknowledged %d of %d", n, each)
		}
	}
	keys := map[string]bool{}
	for _, e := range entries {
		keys[keyOf(e)] = true
	}
	if len(keys) != len(entries) {
		t.Errorf("%d entries have %d keys", len(entries), len(keys))
	}
	assertIndexIsWhole(t, dir, l)
	assertClean(t, l.Reader)
	assertNoFork(t, dir, entries)
}

// TestKilledWhileAppending kills a process again and again (200 times with
// FLEETCTL_FULL=1) in the middle of appending, and goes on with the same keys.
func TestKilledWhileAppending(t *testing.T) {
	rounds := 30
	if os.Getenv("FLEETCTL_FULL") == "1" {
		rounds = 200
	}
	t.Setenv(beginEnv, "1")
	dir, l := newTestLog(t)
	r := rand.New(rand.NewPCG(1, 2))
	var lines []string
	inTheMiddle, kills := 0, 0
	// Not every kill comes in the middle: most do, and it goes on until enough have.
	for i := 0; (i < rounds || inTheMiddle < rounds/2) && i < 20*rounds; i++ {
		kills++
		// Every other round has the keys of the one before, and every fourth
		// finds no index and is killed while it makes or has made one.
		if i%4 == 3 {
			if err := removeManifests(dir); err != nil {
				t.Fatal(err)
			}
		}
		out := killOnce(t, dir, fmt.Sprintf("k%d-", i/2), time.Duration(r.IntN(130))*time.Millisecond)
		if len(out) > 0 && strings.HasPrefix(out[len(out)-1], "begin ") {
			inTheMiddle++
		}
		lines = append(lines, out...)
	}
	if inTheMiddle < rounds/2 {
		t.Errorf("only %d of %d kills came in the middle of an append", inTheMiddle, kills)
	}
	mustAppend(t, l, "last:1")
	entries := allEntries(t, l.Reader)
	acknowledged, begun, unacknowledged := 0, map[string]bool{}, 0
	for _, line := range lines {
		// A child that finds a key says where it is, and its own bytes.
		var index int
		var leaf string
		if after, ok := strings.CutPrefix(line, "begin "); ok {
			begun[after] = true
		} else if _, err := fmt.Sscan(line, &index, &leaf); err == nil {
			if index >= len(entries) || keyOf(entries[index]) != keyOf([]byte(leaf)) {
				t.Errorf("entry %d has not the key of %s", index, leaf)
			}
			delete(begun, leaf)
			acknowledged++
		}
	}
	var keys []string
	for _, e := range entries {
		keys = append(keys, keyOf(e))
		if begun[string(e)] {
			unacknowledged++
		}
	}
	t.Logf("%d kills, %d in the middle of an append; %d entries, %d acknowledged and none lost, %d logged without the process having learnt it; %d signatures, no fork",
		kills, inTheMiddle, len(entries), acknowledged, unacknowledged, len(signed(t, dir)))
	slices.Sort(keys)
	if n := len(slices.Compact(keys)); n != len(entries) {
		t.Errorf("%d entries have %d keys", len(entries), n)
	}
	assertIndexIsWhole(t, dir, l)
	assertClean(t, l.Reader)
	assertNoFork(t, dir, entries)
}

// killOnce lets a process append until some time after it has begun, and gives
// the whole lines that it wrote.
func killOnce(t *testing.T, dir, prefix string, after time.Duration) (lines []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childEnv, dir, prefix, 1000))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	})
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		kill() // it has begun
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	return lines
}

// BenchmarkAppendProve is what one command does: open, add, prove. The pause
// is Tessera's: it replaces no checkpoint younger than 100 ms, and commands
// are further apart.
func BenchmarkAppendProve(b *testing.B) {
	for _, pause := range []time.Duration{0, 100 * time.Millisecond} {
		b.Run(fmt.Sprintf("pause=%v", pause), func(b *testing.B) {
			dir, _ := newTestLog(b)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				time.Sleep(pause)
				start := time.Now()
				l := openTestLog(b, dir)
				at := mustAppend(b, l, fmt.Sprintf("k%d:%s", i, strings.Repeat("x", 20_000)))
				if _, err := l.Prove(context.Background(), at[0].Index); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
		})
	}
}
