package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

const helper = "FLEETCTL_TEST_LOCK" // in the helper process: the file to lock

func TestMain(m *testing.M) {
	path := os.Getenv(helper)
	if path == "" {
		os.Exit(m.Run())
	}
	unlock, err := Lock(path)
	if err != nil {
		fmt.Println(err, errors.Is(err, ErrLocked))
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed or let go
	unlock()
}

// other starts a process that takes the lock, and gives what it said.
func other(t *testing.T, path string) (cmd *exec.Cmd, said string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), helper+"="+path)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	said, _ = bufio.NewReader(out).ReadString('\n')
	return cmd, strings.TrimSpace(said)
}

func TestASecondLockInTheSameProcessFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Lock(path)
	if !errors.Is(err, ErrLocked) || again != nil || !strings.HasPrefix(err.Error(), path+" is in use by another process") {
		t.Errorf("got %v", err)
	}
	unlock()
	unlock() // twice does no harm
	unlock, err = Lock(path)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

func TestALockHoldsAcrossProcessesUntilTheyAreKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, said := other(t, path); !strings.HasSuffix(said, "true") || !strings.Contains(said, "is in use by another process") {
		t.Errorf("the other process said %q", said)
	}
	unlock()
	cmd, said := other(t, path)
	if said != "locked" {
		t.Fatalf("the other process said %q", said)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("while the other has it: %v", err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("the lock file stays after a kill")
	}
	if err := cmd.Process.Kill(); err != nil { // kill -9
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await.Until(t, "the lock of a process that was killed is free", func() bool {
		unlock, err = Lock(path)
		return err == nil
	})
	unlock()
}

func TestAChildDoesNotInheritTheLock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the lock is a file's existence")
	}
	dir := t.TempDir()
	unlock, err := Lock(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, said := other(t, filepath.Join(dir, "b")); said != "locked" { // lives on, with all it inherited
		t.Fatal(said)
	}
	unlock()
	unlock, err = Lock(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatalf("a child still has the lock: %v", err)
	}
	unlock()
}

func TestOnlyOneHoldsALockAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders, most, taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				unlock, err := Lock(path)
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n > most.Load() {
					most.Store(n)
				}
				taken.Add(1)
				holders.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 || taken.Load() == 0 {
		t.Errorf("%d held it at once, %d in all", most.Load(), taken.Load())
	}
}

func TestALockInAMissingDirectoryIsNotInUse(t *testing.T) {
	if _, err := Lock(filepath.Join(t.TempDir(), "missing", "lock")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}
