//go:build cgo && unix

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// TestNoPINGetsOut lives a whole life with a PIN of its own for every token,
// watches every process it starts, and afterwards looks for each PIN in every
// file and every word of output.
func TestNoPINGetsOut(t *testing.T) {
	needSoftHSM(t)
	t.Parallel()
	dir := t.TempDir()
	canaries := map[string]string{}
	check(t, prepareLife(dir, func(label string) string {
		pin := rand.Text()[:16]
		canaries[label] = pin
		return pin
	}))
	watch := watchProcesses(needlesOf(canaries))
	var output bytes.Buffer
	check(t, live(dir, func(step lifeStep, out []byte) error {
		fmt.Fprintf(&output, "%s\n%s\n", step.args, out)
		return nil
	}, "--debug", filepath.Join(dir, "trace")))
	seen := watch.stop()
	if watch.looked == 0 {
		t.Error("no process was ever looked at, so nothing was shown of argv")
	}
	if watch.environments == 0 && os.Geteuid() == 0 {
		t.Error("no process's environment was ever read")
	}
	t.Logf("%d looks at processes, %d at environments", watch.looked, watch.environments)
	if len(seen) > 0 {
		t.Errorf("PINs were in argv or environment of %q", seen)
	}
	if found := leaks(t, dir, canaries); len(found) > 0 {
		t.Errorf("PINs are in %s", strings.Join(found, ", "))
	}
	check(t, os.WriteFile(filepath.Join(dir, "output"), output.Bytes(), 0o600))
	if found := leaks(t, dir, canaries); len(found) > 0 {
		t.Errorf("PINs were in the output: %s", strings.Join(found, ", "))
	}

	// The test can fail: each spelling of each PIN is found where it is planted.
	for label, pin := range canaries {
		for spelling, needle := range spellings(pin) {
			planted := filepath.Join(dir, "ceremony", "planted")
			check(t, os.WriteFile(planted, append([]byte("before "), needle...), 0o600))
			if found := leaks(t, dir, canaries); len(found) != 1 || found[0] != planted {
				t.Errorf("the PIN of %s, planted in %s, was not found: %q", label, spelling, found)
			}
			check(t, os.Remove(planted))
		}
	}
}

// spellings are the ways a PIN could be written. Of base64 all three
// alignments count, without the characters that depend on what is around.
func spellings(pin string) map[string][]byte {
	all := map[string][]byte{
		"plain": []byte(pin), "hex": []byte(hex.EncodeToString([]byte(pin))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(pin)))),
	}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), pin...))
		from, to := (shift*8+5)/6, (shift+len(pin))*8/6
		all[fmt.Sprintf("base64 after %d bytes", shift)] = []byte(text[from:to])
	}
	return all
}

func needlesOf(canaries map[string]string) (needles [][]byte) {
	for _, pin := range canaries {
		for _, n := range spellings(pin) {
			needles = append(needles, n)
		}
	}
	return needles
}

// leaks finds the files with a PIN in them, but for the tokens, which may keep
// it, and the PIN files, which are it.
func leaks(t *testing.T, dir string, canaries map[string]string) (found []string) {
	t.Helper()
	all, err := filesWith(dir, needlesOf(canaries)...)
	check(t, err)
	for _, path := range all {
		if !strings.HasPrefix(path, filepath.Join(dir, "tokens")+"/") && !strings.HasPrefix(path, filepath.Join(dir, "pins")+"/") {
			found = append(found, path)
		}
	}
	return found
}

// watcher looks at the arguments and environment of this process's children
// and theirs, again and again.
type watcher struct {
	needles              [][]byte
	looked, environments int
	seen                 map[string]bool
	stopped              atomic.Bool
	rounds               atomic.Int64
	done                 chan struct{}
}

func watchProcesses(needles [][]byte) *watcher {
	w := &watcher{needles: needles, seen: map[string]bool{}, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for !w.stopped.Load() {
			w.look()
			w.rounds.Add(1)
			time.Sleep(time.Millisecond)
		}
	}()
	return w
}

func (w *watcher) stop() (seen []string) {
	w.stopped.Store(true)
	<-w.done
	for s := range w.seen {
		seen = append(seen, s)
	}
	return seen
}

// descends says whether a process was started by this one, or by one that was.
func descends(pid int) bool {
	for range 4 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		// The name, in brackets, may hold anything; state and parent follow it.
		_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		parent := 0
		if _, err := fmt.Sscanf(rest, "%1s %d", new(string), &parent); err != nil || parent <= 1 {
			return false
		}
		if parent == os.Getpid() {
			return true
		}
		pid = parent
	}
	return false
}

// look reads /proc/*/cmdline and environ of processes whose program is ours.
func (w *watcher) look() {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid := 0
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil || !descends(pid) {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || !bytes.Contains(args, []byte("fleetctl")) {
			continue
		}
		w.looked++
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && len(env) > 0 {
			w.environments++
		}
		for _, n := range w.needles {
			if bytes.Contains(args, n) || bytes.Contains(env, n) {
				w.seen[string(bytes.ReplaceAll(args, []byte{0}, []byte(" ")))] = true
			}
		}
	}
}

// TestTheWatcherSees shows that a PIN in argv or environment would be seen.
func TestTheWatcherSees(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("there is no /proc to look at")
	}
	t.Parallel()
	for _, place := range []string{"argv", "environment"} {
		pin := rand.Text()[:16]
		cmd := exec.Command("cat") // until its input ends
		cmd.Args[0] = "fleetctl"
		if place == "argv" {
			cmd = exec.Command("sh", "-c", "read line; : fleetctl "+pin)
		} else {
			cmd.Env = append(os.Environ(), "PIN="+pin)
		}
		_, err := cmd.StdinPipe()
		check(t, err)
		child := await.Start(t, cmd)
		w := watchProcesses([][]byte{[]byte(pin)})
		await.Happens(w.looks)
		// The look that is under way may have begun before there was anything.
		now := w.rounds.Load()
		await.Happens(func() bool { return w.rounds.Load() >= now+2 })
		if seen := w.stop(); len(seen) == 0 {
			t.Errorf("a PIN in the %s of a child went unseen", place)
		}
		child.Kill()
	}
}

// looks is a look out of turn, for the self-check alone.
func (w *watcher) looks() bool {
	probe := &watcher{needles: w.needles, seen: map[string]bool{}}
	probe.look()
	return len(probe.seen) > 0
}
